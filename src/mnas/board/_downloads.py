"""Files to download."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import threading
from pathlib import Path
from typing import Any, Literal

from mnas.space import Architecture
from mnas.trial import Trial
from mnas.views import TRIAL_COLUMNS, TrialTable, trained_file

# Building takes torch and a network's memory: one at a time is enough for who clicks.
_BUILDING = threading.Lock()


def trials_csv(table: TrialTable) -> bytes:
    """All trials, one a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [*TRIAL_COLUMNS, *(f"{name}_ms" for name in table.parts_ms)]
    writer.writerow(map(_cell, names))
    columns = [*(getattr(table, name) for name in TRIAL_COLUMNS), *table.parts_ms.values()]
    for row in zip(*columns, strict=True):
        writer.writerow(map(_cell, row))
    return text.getvalue().encode()


def architecture_json(trial: Trial) -> bytes:
    """An architecture as winner.json has it."""
    document = {
        "architecture": trial.architecture.to_dict(),
        "string": str(trial.architecture),
        "trial": trial.number,
    }
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def onnx_file(folder: Path, architecture: Architecture) -> tuple[bytes, Literal["trained", "untrained"]]:
    """A network as ONNX: as the run's final comparison trained it, else built now with fresh weights."""
    kept = trained_file(folder, architecture)
    if kept is not None:
        return kept.read_bytes(), "trained"
    from mnas.export import save_onnx
    from mnas.models import build

    with _BUILDING, tempfile.TemporaryDirectory(prefix="mnas-board-") as place:
        path = Path(place) / "model.onnx"
        save_onnx(build(architecture, seed=0), path)
        return path.read_bytes(), "untrained"


def _cell(value: Any) -> Any:
    """A cell that a spreadsheet does not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
