"""What docs/models.md shows runs as it stands."""

import re
from pathlib import Path

from mnas.models import reference_architecture, reference_names
from mnas.space import count_madds, count_params

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_snippets_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(snippets) == 4
    for snippet in snippets:
        exec(compile(snippet, str(PAGE), "exec"), {})
    assert (tmp_path / "network.onnx").stat().st_size > 0


def test_the_table_of_references_is_true():
    for name in reference_names():
        architecture = reference_architecture(name)
        assert f"| `{name}` | {count_params(architecture):,} | {count_madds(architecture):,} |" in PAGE.read_text()
