"""What docs/models.md says of the references."""

from pathlib import Path

from mnas.models import reference_architecture, reference_names
from mnas.space import count_madds, count_params

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_table_of_references_is_true():
    for name in reference_names():
        architecture = reference_architecture(name)
        assert f"| `{name}` | {count_params(architecture):,} | {count_madds(architecture):,} |" in PAGE.read_text()
