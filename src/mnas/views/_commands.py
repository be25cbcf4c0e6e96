"""What to type to go on from what is shown."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnas.views._models import NetworkCommands, RunCommands

_EXPORT = "mnas export model --to onnx"


def run_commands(folder: Path, settings: Mapping[str, Any]) -> RunCommands:
    """What to type to go on with a run."""
    run = shlex.quote(str(folder))
    best = _train(f"{folder}:best", folder, settings)
    ship = "" if _is_detection(settings) else f"mnas ship {run}{'' if 'dataset' in settings else ' --data DATA'}"
    return RunCommands(resume=f"mnas resume {run}", front=f"mnas front {run}", train=best, export=_EXPORT, ship=ship)


def network_commands(name: str, folder: Path, settings: Mapping[str, Any]) -> NetworkCommands:
    """What to type to look at a network and to train it; `name` is RUN:17 or block strings."""
    quoted = shlex.quote(name)
    return NetworkCommands(
        show=f"mnas show {quoted}",
        measure=f"mnas measure {quoted}",
        train=_train(name, folder, settings),
        export=_EXPORT,
    )


def _train(name: str, folder: Path, settings: Mapping[str, Any]) -> str:
    # A run's settings name its data set, and any settings file may stand for one.
    data = shlex.quote(str(folder / "run.toml")) if "dataset" in settings else "DATA"
    network = shlex.quote(name)
    verb = f"detect train --backbone {network}" if _is_detection(settings) else f"train {network}"
    return f"mnas {verb} --data {data} --out model"


def _is_detection(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("accuracy", {}).get("name") == "detection")
