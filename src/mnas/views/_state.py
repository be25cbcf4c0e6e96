"""How a run stands."""

from __future__ import annotations

import time
from pathlib import Path

from mnas.views._models import MachinesView, RunState

_RECENT_S = 60.0


def run_state(machines: MachinesView, trials: int, total: int, folder: Path) -> tuple[RunState, str | None]:
    """The state of a run, and a word on it where that is needed.

    Its driver says it; where none did, as in runs of earlier versions, its files do. The writer's lock is not tried:
    whoever looks on must not be in the way of a search that begins.
    """
    if machines.state == "none":
        state: RunState = "finished" if trials >= total else "running" if _is_fresh(folder) else "stopped"
        return state, None
    if machines.state == "silent":
        return "silent", f"the process that searches has not answered for {machines.now - machines.written:.0f} s"
    return machines.state, machines.message or None


def _is_fresh(folder: Path) -> bool:
    """Whether its journal was written within the last minute."""
    # Not trials.sqlite-shm, which a reader touches too, nor an empty log, which it may leave.
    stats = [path.stat() for name in ("trials.sqlite", "trials.sqlite-wal") if (path := folder / name).is_file()]
    return time.time() - max((stat.st_mtime for stat in stats if stat.st_size), default=0.0) < _RECENT_S
