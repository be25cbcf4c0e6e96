"""Snapshots of a controller's state in its run, so that a search of ten thousand trials goes on within seconds.

A replay of the journal takes as long as the controller took; a snapshot stands for all of the journal up to its
position, and only what came after it is replayed. It is taken now and then, so that it costs little, and what is
replayed never took the controller longer than the time between two. Where none can be taken up, all is replayed:
both lead to the same state.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata

from mnas.controllers import Controller, Resumable
from mnas.storage import Ask, RunStorage, Tell
from mnas.trial import Trial

_EVERY = 2.0  # seconds between two snapshots, at least
_COST = 50.0  # and so many times what the last one took, so that they take two hundredths of the time
_VERSIONED = ("mnas", "numpy", "scipy", "torch")  # that a state depends on


class Snapshots:
    """Stores a controller's state after tells, and gives it back to a fresh controller."""

    def __init__(self, storage: RunStorage) -> None:
        self._storage = storage
        self._next = 0.0  # on the monotonic clock

    def keep(self, controller: Controller, is_last: bool = False) -> None:
        """Store the controller's state, if it can and it is time to; the last one always.

        All that the journal holds must have happened to the controller.
        """
        began = time.monotonic()
        if not isinstance(controller, Resumable) or (began < self._next and not is_last):
            return
        self._storage.set_snapshot({"made_by": _made_by(controller), "state": controller.snapshot()})
        ended = time.monotonic()
        self._next = ended + max(_EVERY, _COST * (ended - began))

    def restore(self, controller: Controller, journal: Sequence[Ask | Tell], trials: Mapping[int, Trial]) -> int:
        """Bring a fresh controller to where the snapshot was taken: how many entries of the journal that stands for.

        0 where there is none, or it was made by another controller or other versions.
        """
        found = self._storage.snapshot()
        if found is None or not isinstance(controller, Resumable):
            return 0
        position, content = found
        tells = [entry for entry in journal[:position] if isinstance(entry, Tell)]
        if content.get("made_by") != _made_by(controller) or position > len(journal):
            return 0
        try:
            controller.restore(content["state"], [trials[number] for entry in tells for number in entry.numbers])
        except (LookupError, TypeError, ValueError):
            return 0  # what a snapshot says, the journal says too
        return position


def _made_by(controller: Controller) -> dict[str, str]:
    kind = type(controller)
    versions = {"python": platform.python_version()} | {name: _version(name) for name in _VERSIONED}
    return {"controller": f"{kind.__module__}.{kind.__qualname__}"} | versions


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
