"""Turn: searches on one phone or board take turns, for each would be measured beside the other's load.

Not for this machine's own CPU: its gate refuses what another load disturbs, whoever makes it, and a search that is
suspended while it has the turn would hold up all others.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from mnas._cache import cache_folder
from mnas.errors import DeviceError, SettingsError

LIMIT_S = 600.0  # the longest that anybody waits for a turn
_LOOK_S = 0.02  # between two looks whether it is free
_TELL_S = 5.0  # who waits longer is told so
_log = logging.getLogger("mnas.devices")


class Turn:
    """A device's turn, which one process, or one thread, of this user has at a time.

        turn = Turn("phone 'R58M'", "adb R58M")
        with turn.taken():
            ...                         # alone on the phone

    It is a lock on a file in the cache folder (`MNAS_CACHE`), of the name `key`, that the operating system lets go
    when the process ends, however it ends. Who waits comes next, before those that come later. Other users and
    other computers do not see it.

    Raises:
        SettingsError: from `taken`, the folder cannot be written.
        DeviceError: from `taken`, another process had the turn for `LIMIT_S` seconds.
    """

    def __init__(self, device: str, key: str) -> None:
        self._device, self._key = device, key
        self._is_told = False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Waits for the turn and has it as long as the block lasts."""
        deadline = time.monotonic() + LIMIT_S
        with self._file("turn") as turn:
            # Whoever waits has `next`, so that a search that asks again and again cannot overtake it.
            with self._file("next") as following:
                self._lock(following, turn, deadline)
                self._lock(turn, turn, deadline)
                fcntl.flock(following, fcntl.LOCK_UN)
            os.ftruncate(turn, 0)
            os.pwrite(turn, f"process {os.getpid()}".encode(), 0)
            try:
                yield
            finally:
                fcntl.flock(turn, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _file(self, which: str) -> Iterator[int]:
        folder = cache_folder() / "turns"
        path = folder / f"{quote(self._key, safe='')}.{which}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(self._device, path, error) from error
        try:
            yield file
        finally:
            os.close(file)

    def _lock(self, file: int, turn: int, deadline: float) -> None:
        """Locks a file; `turn` is where the one that has the turn has written who it is."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            holder = os.pread(turn, 100, 0).decode(errors="replace") or "another process"
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"{self._device} has been measured on by {holder} for {LIMIT_S:g} seconds without a pause: wait "
                    "for its end or end it, then go on"
                )
            if not self._is_told and time.monotonic() - began > _TELL_S:
                self._is_told = True
                _log.warning("%s is being measured on by %s: taking turns", self._device, holder)
            time.sleep(_LOOK_S)


def _unwritable(device: str, path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"{device} is measured on by one search at a time, for which {path} should be a file that can be written "
        f"({error.strerror}): set MNAS_CACHE to a folder that can"
    )
