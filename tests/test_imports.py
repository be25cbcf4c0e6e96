"""The floors of docs/architecture.md: an import points down, never up or sideways."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mnas"
LEAVES = ("controllers", "accuracy", "devices", "executors", "models", "datasets", "training", "export", "storage")
FLOORS = [
    {"errors"},
    {"space", "_torchvision", "_whole_file", "_toml", "_cache", "_quantization"},
    {"objective"},
    {"trial"},
    {"pareto"},
    {"surrogates", "profiles", "detection_scores"},
    set(LEAVES),
    {"stopping", "result", "scores", "activity", "judging", "budget"},
    {"evaluator", "failures", "snapshots", "estimate"},
    {"loop", "reach", "profiling"},
    {"registry", "status"},
    {"config"},
    {"plan"},
    {"final", "comparison", "measured_front"},
    {"folder"},
    {"views"},
    {"report"},
    {"board"},
    {"run", "model_folder"},
    {"model_card"},
    {"model_run"},
    {"detector_run"},
    {"measured_files", "ship_journal"},
    {"ship"},
    {"cli"},
]
BETWEEN_LEAVES = {
    ("devices", "export"), ("devices", "models"), ("accuracy", "models"), ("accuracy", "datasets"),
    ("accuracy", "training"), ("training", "models"), ("training", "datasets"), ("export", "models"),
}  # fmt: skip
STANDARD_LIBRARY_ALONE = ("errors", "space", "objective", "trial", "pareto", "storage")


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"mnas.{alias.name}" for alias in node.names} if node.module == "mnas" else {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


FILES = sorted(path for path in SOURCE.rglob("*.py") if _room(path) not in ("__init__", "testing"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    here = _room(path)
    for name in _imports(path):
        if name.startswith("mnas.") and (there := name.split(".")[1]) != here:
            allowed = floor[there] < floor[here] or (here, there) in BETWEEN_LEAVES
            assert allowed, f"{path.name} ({here}) imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if _room(p) in STANDARD_LIBRARY_ALONE], ids=lambda p: p.name)
def test_the_lower_floors_need_the_standard_library_alone(path):
    roots = {name.split(".")[0] for name in _imports(path)}
    assert roots <= {*sys.stdlib_module_names, "mnas"}


def test_looking_at_architectures_and_runs_needs_no_torch():
    """`import mnas`, names, counts, a stored run: all without torch, onnxruntime or matplotlib."""
    code = (
        "import sys, mnas, mnas.space, mnas.controllers, mnas.devices, mnas.accuracy, mnas.models, mnas.datasets\n"
        "import mnas.folder, mnas.cli._commands\n"
        "mnas.Architecture.parse('ds_r1_k3_s1_c16').id, mnas.search, mnas.load_result\n"
        "print([m for m in ('torch', 'onnxruntime', 'matplotlib', 'sklearn', 'onnx') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there():
    import mnas

    assert all(getattr(mnas, name) is not None for name in mnas.__all__)
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        mnas.serach  # noqa: B018
