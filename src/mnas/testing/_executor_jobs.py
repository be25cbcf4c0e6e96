"""Jobs that the suite of executors gives them. Workers import this module, and with it pytest."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mnas.errors import ExportError, TrainingError

_PATIENCE_S = 300.0  # after which a job that nobody lets go ends by itself


def double(value: int, seconds: float = 0.0) -> int:
    """Twice the value, after a while."""
    time.sleep(seconds)
    return 2 * value


class Multiplier:
    """Something with a method, and a megabyte that goes with it."""

    def __init__(self, factor: int) -> None:
        self.factor, self.ballast = factor, bytes([factor]) * 10**6

    def times(self, value: int) -> tuple[int, bytes]:
        """The product, and the ballast."""
        return self.factor * value, self.ballast


def fail(words: str) -> None:
    """A training that diverges."""
    raise TrainingError(words)


def fail_to_convert(words: str) -> None:
    """A candidate that fails in another way."""
    raise ExportError(words)


def divide_by_nothing(value: int) -> float:
    """A bug."""
    return value / 0


class PeculiarError(Exception):
    """An exception that pickle cannot make again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("most peculiar")


def be_peculiar() -> None:
    """Raise what cannot be sent."""
    raise PeculiarError(1, 2)


def have_no_memory() -> None:
    """What numpy and Python raise where there is none left."""
    raise MemoryError("0 bytes left")


def eat(gigabytes: float) -> int:
    """Ask for so much memory at once."""
    return len(bytearray(int(gigabytes * 1e9)))


def die() -> None:
    """The worker ends, as if it had been killed."""
    os._exit(3)


def die_at_first(folder: str, value: int) -> int:
    """The value, in the second try; in the first the worker ends."""
    note = Path(folder) / f"tried{value}"
    if not note.exists():
        note.touch()
        os._exit(3)
    return value


def meet(folder: str, name: str) -> int:
    """Be there until the folder has a file `go`; then how many others were."""
    place = Path(folder)
    (place / name).touch()
    deadline = time.monotonic() + _PATIENCE_S
    while not (place / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(list(place.glob("job*")))
