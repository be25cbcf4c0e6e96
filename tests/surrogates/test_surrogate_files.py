"""The shipped files: small, whole, with their provenance; a damaged one is refused and named."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnas.errors import SettingsError, StopError
from mnas.surrogates import (
    Surrogate,
    load_surrogate,
    read_surrogate_file,
    surrogate_names,
    write_surrogate_file,
)
from mnas.surrogates._surrogate import DATA

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", surrogate_names())
def test_a_shipped_file_is_small_and_says_where_it_comes_from(name: str) -> None:
    path = DATA / f"{name}.safetensors"
    assert path.stat().st_size <= (300_000 if name == "accuracy-trees" else 50_000)
    provenance = load_surrogate(name).provenance
    assert "Accel-NASBench" in provenance["origin"]
    assert provenance["origin_commit"] == "42603572d530310e6bac7191d00cf45625a6b197"
    assert provenance["licence"] == "Apache-2.0"
    assert provenance["rows"] == 4612
    for key in ("split", "seed", "made_by", "quantity", "errors", "model"):
        assert provenance[key] is not None


def test_nothing_else_is_shipped() -> None:
    assert {path.name for path in DATA.iterdir()} == {f"{name}.safetensors" for name in surrogate_names()}


@pytest.mark.parametrize("place", [0.02, 0.5, 0.999])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, place: float) -> None:
    """One flipped byte, in the header or in a weight: never a silently different prediction."""
    content = bytearray((DATA / "zcu102.safetensors").read_bytes())
    content[int(place * len(content))] ^= 0x55
    path = tmp_path / "zcu102.safetensors"
    path.write_bytes(content)
    with pytest.raises(StopError, match=r"zcu102.safetensors .*install mnas again.*fit_surrogates.py"):
        read_surrogate_file(path)


@pytest.mark.parametrize("content", [b"", b"not safetensors", None])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a100.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StopError, match=re.escape(str(path))):
        read_surrogate_file(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a100.safetensors"
    path.write_bytes((DATA / "a100.safetensors").read_bytes()[:-100])
    with pytest.raises(StopError, match="a100"):
        read_surrogate_file(path)


def test_a_file_without_an_array_is_refused(tmp_path: Path) -> None:
    file = read_surrogate_file(DATA / "a100.safetensors")
    arrays = {name: array for name, array in file.arrays.items() if name != "table_values"}
    path = tmp_path / "a100.safetensors"
    write_surrogate_file(path, arrays, file.provenance)
    with pytest.raises(StopError, match="table_values"):
        Surrogate(read_surrogate_file(path))


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    file = read_surrogate_file(DATA / "a100.safetensors")
    path = tmp_path / "a100.safetensors"
    write_surrogate_file(path, file.arrays, {**file.provenance, "model": "oracle"})
    with pytest.raises(StopError, match="oracle"):
        Surrogate(read_surrogate_file(path))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    file = read_surrogate_file(DATA / "a100.safetensors")
    write_surrogate_file(tmp_path / "again", dict(reversed(list(file.arrays.items()))), file.provenance)
    assert (tmp_path / "again").read_bytes() == (DATA / "a100.safetensors").read_bytes()


def test_an_unknown_surrogate_gets_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="did you mean 'a100'"):
        load_surrogate("a10")


def test_predicting_needs_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys, numpy as np; from mnas.surrogates import load_surrogate, surrogate_names\n"
        "for name in surrogate_names(): load_surrogate(name).predict_tokens(np.zeros((2, 28), dtype=np.uint8))\n"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'pickle') if m in sys.modules and m != 'pickle'])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
def test_the_page_has_the_tables_of_the_shipped_files() -> None:
    script = ROOT / "scripts" / "fit_surrogates.py"
    done = subprocess.run([sys.executable, script, "--tables"], capture_output=True, text=True, check=True)
    page = (ROOT / "docs" / "surrogates.md").read_text(encoding="utf-8")
    lines = [line for line in done.stdout.splitlines() if line]
    assert len(lines) > 15
    for line in lines:
        assert line in page


@pytest.mark.slow
def test_the_script_reads_rows_and_writes_a_surrogate(accel_nasbench_csv: Path, tmp_path: Path) -> None:
    """A per-block table is linear algebra: the same rows give the shipped file's numbers again."""
    shutil.copy(DATA / "a100.safetensors", tmp_path / "shipped")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import numpy as np\n"
        "from surrogate_data import data_from, read_csv; from surrogate_fits import fit_block_tables\n"
        "from mnas.surrogates import read_surrogate_file\n"
        "data = data_from(read_csv(Path(sys.argv[2])))\n"
        "fitted = fit_block_tables(data.tokens, 1000 / data.columns['throughput_a100_mean'])\n"
        "shipped = read_surrogate_file(Path(sys.argv[3])).arrays\n"
        "assert np.allclose(fitted['table_values'], shipped['table_values'], atol=1e-5)\n"
    )
    arguments = [str(ROOT / "scripts"), str(accel_nasbench_csv), str(tmp_path / "shipped")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


def test_arrays_are_plain_numbers() -> None:
    for name in surrogate_names():
        for array in read_surrogate_file(DATA / f"{name}.safetensors").arrays.values():
            assert array.dtype.kind in "fiub"
            assert np.isfinite(array.astype(np.float64)).all()
