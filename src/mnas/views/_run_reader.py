"""RunReader: a run folder read beside its writer, again and again, and each time only what is new.

Every read opens the journal, takes what was added and closes it: no lock is held between reads, and a folder that
goes away and comes back is simply read again. Files that did not change are not opened at all.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json  # thousands of trials are decoded in a third of json's time

from mnas.errors import StorageError
from mnas.folder import read_run_toml
from mnas.storage import RunStorage
from mnas.views._columns import TrialColumns

# Within this, files that look alike may have changed: clocks of file systems tick a hundred times a second.
_SETTLED_S = 1.0
_POSITIONS = 1 << 32  # a cursor is the generation times this, plus the place
_GENERATIONS = 1 << 20  # so that a cursor stays below 2^53 and is exact in JavaScript

_TABLES = ("run", "versions", "space", "controller", "device", "dataset", "accuracy")  # of run.toml

_Signature = tuple[tuple[int, int, int], ...]


class RunReader:
    """What is known of one run's trials. Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.columns = TrialColumns("")
        self.generation = 0  # of the columns: another one where they were made anew
        self._key: tuple[Any, ...] = ()
        self._seen: tuple[_Signature, float] | None = None
        self._toml: tuple[_Signature, dict[str, Any]] | None = None

    @property
    def cursor(self) -> int:
        """Where the columns end, to be given back."""
        return self.generation * _POSITIONS + len(self.columns)

    def place(self, cursor: int) -> tuple[int, bool]:
        """Where in the columns a cursor stands, and whether what was read before it has to be dropped."""
        if cursor == 0:
            return 0, False
        generation, place = divmod(cursor, _POSITIONS)
        is_known = generation == self.generation and place <= len(self.columns)
        return (place, False) if is_known else (0, True)

    @contextmanager
    def storage(self) -> Iterator[RunStorage]:
        """The run's journal, opened for reading.

        Raises:
            StorageError: it is not there, or it is broken.
        """
        try:
            with RunStorage.read(self.folder) as storage:
                yield storage
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be read: {error.strerror or error}") from error

    def run_toml(self) -> dict[str, Any]:
        """run.toml, read again where it changed.

        Raises:
            StorageError: it is not there, or it is broken.
        """
        signature = _signature(self.folder, ("run.toml",))
        if self._toml is None or self._toml[0] != signature:
            self._toml = (signature, _checked(read_run_toml(self.folder), self.folder))
        return self._toml[1]

    def refresh(self) -> None:
        """Take in what was stored since.

        Raises:
            StorageError: the run is not there, or it is broken.
        """
        began = time.time()
        signature = _signature(self.folder, ("trials.sqlite", "trials.sqlite-wal"))
        if self._seen is not None and self._seen[0] == signature and _is_settled(*self._seen):
            return
        self._seen = None
        with self.storage() as storage:
            self._take_in(storage, signature)
        self._seen = (signature, began)

    def _take_in(self, storage: RunStorage, signature: _Signature) -> None:
        device = storage.meta("device") or ""
        created = self.run_toml().get("run", {}).get("created", "")
        begun = (signature[0][0], created, device)  # the file, when, where: a run with others is another one
        if self._key != (*begun, self._remeasured(storage, device)):
            self._begin(device)
            self._key = (*begun, self._remeasured(storage, device))
        columns = self.columns
        # The last one known is read again: it is gone where the run was begun anew.
        rows = storage.trial_rows(columns.highest - 1, sorted(columns.missing))
        if len(columns) and not self._is_known(rows):
            self._begin(device)
            columns, rows = self.columns, storage.trial_rows()
        dropped = (storage.meta("measured_front") or {}).get("dropped", {})
        if set(dropped) != set(columns.dropped):
            columns.drop(frozenset(dropped))
        for number, body in rows:
            if number not in columns.places:
                self._add(number, body, storage)
        self._key = (*begun, self._remeasured(storage, device))

    def _add(self, number: int, body: str, storage: RunStorage) -> None:
        try:
            self.columns.add(number, from_json(body), lambda name: storage.latency_row(name, self.columns.device))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(f"trial {number} in {storage.path} lacks what a trial has: {error!r}") from error

    def _begin(self, device: str) -> None:
        self.columns, self.generation = TrialColumns(device), 1 + secrets.randbelow(_GENERATIONS - 1)

    def _is_known(self, rows: Sequence[tuple[int, str]]) -> bool:
        """Whether the last trial known is among these, and is what it was."""
        highest = self.columns.highest
        finished = self.columns.finished[self.columns.places[highest]]
        return any(number == highest and _finished(body) == finished for number, body in rows)

    def _remeasured(self, storage: RunStorage, device: str) -> int:
        """Changes where latencies of other devices are replaced by the run's device's, one by one."""
        return storage.latency_count(device) if self.columns.has_foreign else -1


def _checked(run_toml: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same, once what is looked into is what it should be."""
    wrong = [key for key in _TABLES if not isinstance(run_toml.get(key, {}), dict)]
    if wrong or not isinstance(run_toml.get("trials", 0), int):
        raise StorageError(
            f"{folder}/run.toml is damaged: {', '.join(wrong) or 'trials'} is not what a run has there"
        )
    return run_toml


def _finished(body: str) -> Any:
    try:
        row = from_json(body)
    except ValueError:
        return None
    return row.get("finished") if isinstance(row, dict) else None


def _signature(folder: Path, names: tuple[str, ...]) -> _Signature:
    """What changes when one of the files does; zeros for a file that is not there."""
    found = []
    for name in names:
        try:
            stat = os.stat(folder / name)
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _is_settled(signature: _Signature, read: float) -> bool:
    return all(read - mtime_ns / 1e9 > _SETTLED_S for _, _, mtime_ns in signature)
