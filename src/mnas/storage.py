"""The run's journal: asks, tells, measurements and trials in one SQLite file, with one writer.

    with RunStorage.open(folder, identity, write=True) as storage:
        storage.add_ask(proposals)      # stored before anything is measured
        storage.add_latency(...)        # the moment it is made
        storage.add_trial(trial)        # before it is told
        storage.add_tell(trials, summary)

Each call is one transaction that is on disk when it returns, so a process killed at any instant loses the
unfinished work alone. The journal keeps the order of asks and tells: replayed into a fresh controller, it
leaves the controller where it stood.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from mnas.errors import StorageError
from mnas.objective import Latency
from mnas.trial import Proposal, Trial

# Counts up when the tables or the meaning of a row change; a run of another format is refused.
FORMAT_VERSION = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
    position INTEGER PRIMARY KEY, kind TEXT NOT NULL, numbers TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS latencies (
    architecture TEXT NOT NULL, device TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (architecture, device));
CREATE TABLE IF NOT EXISTS trials (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS finals (key TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
# Of one row, beside the tables of the format: it says nothing that the journal does not say, only quicker.
_SNAPSHOT = (
    "CREATE TABLE IF NOT EXISTS snapshot (id INTEGER PRIMARY KEY, position INTEGER NOT NULL, body TEXT NOT NULL)"
)


@dataclass(frozen=True)
class Ask:
    """The proposals of one `ask`."""

    proposals: tuple[Proposal, ...]


@dataclass(frozen=True)
class Tell:
    """The numbers of the trials of one `tell`, and the summary that the controller gave."""

    numbers: tuple[int, ...]
    summary: Mapping[str, Any] | None


class RunStorage:
    """One run's `trials.sqlite`. Made by `open`; use it as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: sqlite3.Connection | None) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock

    @classmethod
    def create(cls, folder: Path, identity: Mapping[str, Any]) -> RunStorage:
        """Open a run for writing, and begin it if it is new.

        `identity` is what must stay the same for the journal to make sense, as JSON values.

        Raises:
            StorageError: another process writes to it; it is broken; or it was made with another identity,
                each difference named.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with _named_errors(folder):
            lock = lock_folder(folder, f"mnas status {folder}")
            storage = cls(folder / "trials.sqlite", _connect(folder / "trials.sqlite"), lock)
        try:
            with _named_errors(folder):
                storage._prepare(identity)
                storage._connection.execute(_SNAPSHOT)
        except BaseException:
            storage.close()
            raise
        return storage

    @classmethod
    def read(cls, folder: Path) -> RunStorage:
        """Open a run for reading, which may go on beside its writer.

        Raises:
            StorageError: there is no run in the folder, or it is broken or of another format.
        """
        path = folder / "trials.sqlite"
        if not path.is_file():
            raise StorageError(f"{folder} is not a run folder: it has no trials.sqlite")
        with _named_errors(folder):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
            storage = cls(path, connection, None)
            storage._check_format()
        return storage

    def is_being_written(self) -> bool:
        """Whether some process has the run open for writing."""
        with contextlib.closing(sqlite3.connect(self.path.parent / ".writer", timeout=0)) as lock:
            try:
                lock.execute("SELECT name FROM sqlite_master")
            except sqlite3.OperationalError:
                return True
        return False

    def close(self) -> None:
        """Give the files free."""
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------------------

    def add_ask(self, proposals: Sequence[Proposal]) -> None:
        """Store what the controller proposed, before anything is spent on it."""
        numbers = [proposal.number for proposal in proposals]
        self._journal("ask", numbers, [list(proposal.tokens) for proposal in proposals])

    def add_tell(self, trials: Sequence[Trial], summary: Mapping[str, Any] | None) -> None:
        """Store that the controller was told these trials, and its summary."""
        self._journal("tell", [trial.number for trial in trials], summary)

    def add_trial(self, trial: Trial) -> None:
        """Store a finished trial."""
        self._write("INSERT INTO trials VALUES (?, ?)", trial.number, trial.to_dict())

    def add_latency(self, architecture_id: str, latency: Latency) -> None:
        """Store a measurement; a later one of the same network on the same device replaces it."""
        sql = "INSERT OR REPLACE INTO latencies VALUES (?, ?, ?)"
        self._write(sql, architecture_id, latency.device, asdict(latency))

    def add_final(self, key: str, result: Mapping[str, Any]) -> None:
        """Store one training of the final comparison."""
        self._write("INSERT OR REPLACE INTO finals VALUES (?, ?)", key, dict(result))

    def set_snapshot(self, content: Mapping[str, Any]) -> None:
        """Store the controller's state as all entries of the journal have led to it, in place of an earlier one."""
        sql = "INSERT OR REPLACE INTO snapshot SELECT 1, (SELECT IFNULL(MAX(position), 0) FROM journal), ?"
        self._write(sql, content)

    def set_meta(self, key: str, value: Any) -> None:
        """Store a fact about the run, such as the latencies that its space was found to reach."""
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    # -- reading ------------------------------------------------------------------------------------------

    def journal(self) -> Iterator[Ask | Tell]:
        """Asks and tells in their order."""
        for _, kind, numbers, body in self._rows("SELECT * FROM journal ORDER BY position"):
            known, content = json.loads(numbers), json.loads(body)
            if kind == "tell":
                yield Tell(tuple(known), content)
            else:
                pairs = zip(known, content, strict=True)
                yield Ask(tuple(Proposal(number, tuple(tokens)) for number, tokens in pairs))

    def asked(self) -> int:
        """How many proposals the controller has made."""
        sql = "SELECT numbers FROM journal WHERE kind = 'ask' AND numbers != '[]' ORDER BY position DESC LIMIT 1"
        rows = self._read(sql)
        return max(json.loads(rows[0][0])) + 1 if rows else 0

    def snapshot(self) -> tuple[int, dict[str, Any]] | None:
        """The stored state of the controller, behind how many entries of the journal have led to it."""
        rows = self._read("SELECT position, body FROM snapshot")
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    def trials(self) -> list[Trial]:
        """Every stored trial, by number."""
        rows = self._rows("SELECT body FROM trials ORDER BY number")
        return [Trial.from_dict(json.loads(body)) for (body,) in rows]

    def trial_rows(self, after: int = -1, missing: Sequence[int] = ()) -> list[tuple[int, str]]:
        """Trials as stored, by number: those numbered above `after`, and those among `missing`; each is JSON.

        For who reads beside a search and remembers what was there: trials of searches that run asynchronously are not
        stored in their order.
        """
        wanted = "number > ?1 UNION ALL SELECT number, body FROM trials WHERE number <= ?1 AND number IN"
        # Not one condition with OR, for which SQLite reads the whole table.
        sql = f"SELECT number, body FROM trials WHERE {wanted} (SELECT value FROM json_each(?2)) ORDER BY number"
        return self._read(sql, after, _dumps(list(missing)))

    def trial(self, number: int) -> Trial:
        """A stored trial.

        Raises:
            StorageError: it is not there.
        """
        rows = self._read("SELECT body FROM trials WHERE number = ?", number)
        if not rows:
            raise StorageError(f"{self.path} has no trial {number}")
        with _named_errors(self.path.parent):
            return Trial.from_dict(json.loads(rows[0][0]))

    def told(self, positions: Sequence[int]) -> list[Any]:
        """What the controller said when it was told, at these positions of the journal."""
        sql = "SELECT body FROM journal WHERE position IN (SELECT value FROM json_each(?)) ORDER BY position"
        return [json.loads(body) for (body,) in self._read(sql, _dumps(list(positions)))]

    def told_positions(self) -> list[tuple[int, int]]:
        """Where in the journal the controller said something: the position, and the last trial it was told."""
        sql = "SELECT position, numbers FROM journal WHERE kind = 'tell' AND body != 'null' ORDER BY position"
        return [(position, max(json.loads(numbers), default=-1)) for position, numbers in self._read(sql)]

    def latency(self, architecture_id: str, device: str) -> Latency | None:
        """The stored measurement of a network on a device, if there is one."""
        row = self.latency_row(architecture_id, device)
        return Latency.from_dict(row) if row else None

    def latency_row(self, architecture_id: str, device: str) -> dict[str, Any] | None:
        """The same as stored values."""
        sql = "SELECT body FROM latencies WHERE architecture = ? AND device = ?"
        rows = self._read(sql, architecture_id, device)
        return dict(json.loads(rows[0][0])) if rows else None

    def latency_count(self, device: str) -> int:
        """How many measurements on a device are stored."""
        return int(self._read("SELECT count(*) FROM latencies WHERE device = ?", device)[0][0])

    def finals(self) -> dict[str, Any]:
        """The stored trainings of the final comparison."""
        return {key: json.loads(body) for key, body in self._read("SELECT * FROM finals ORDER BY key")}

    def meta(self, key: str) -> Any:
        """A stored fact, None if it is not there."""
        rows = self._read("SELECT value FROM meta WHERE key = ?", key)
        with _named_errors(self.path.parent):
            return json.loads(rows[0][0]) if rows else None

    # -- inside -------------------------------------------------------------------------------------------

    def _prepare(self, identity: Mapping[str, Any]) -> None:
        known = self._connection.execute("SELECT name FROM sqlite_master WHERE name = 'meta'").fetchone()
        if known is None:
            self._connection.executescript(f"BEGIN;{_TABLES}COMMIT;")
            self.set_meta("format", FORMAT_VERSION)
            self.set_meta("identity", identity)
            return
        self._check_format()
        check = self._connection.execute("PRAGMA quick_check").fetchone()[0]
        if check != "ok":
            raise sqlite3.DatabaseError(check)
        stored = self.meta("identity")
        if stored is None or not self._read("SELECT 1 FROM journal UNION ALL SELECT 1 FROM trials LIMIT 1"):
            # Refused or killed before anything was asked: it begins anew, with any settings. Latencies stay true.
            self._connection.execute("DELETE FROM meta WHERE key != 'format'")
            self.set_meta("identity", identity)
            return
        differences = [
            f"{key}: the run has {_short(stored.get(key))}, now it is {_short(identity.get(key))}"
            for key in sorted({*stored, *identity})
            if stored.get(key) != _plain(identity.get(key))
        ]
        if differences:
            raise StorageError(
                f"{self.path.parent} was begun with other settings and cannot go on with these:\n  "
                + "\n  ".join(differences)
                + "\nName another folder with --out, or go on as it was begun with: mnas resume "
                + str(self.path.parent)
            )

    def _check_format(self) -> None:
        version = self.meta("format")
        if version is None:
            self.set_meta("format", FORMAT_VERSION)
        elif version != FORMAT_VERSION:
            raise StorageError(
                f"{self.path} has format {version}; this mnas reads format {FORMAT_VERSION}. "
                "Go on with the version of mnas that run.toml names, or start a new run"
            )

    def _journal(self, kind: str, numbers: Sequence[int], body: Any) -> None:
        self._write("INSERT INTO journal (kind, numbers, body) VALUES (?, ?, ?)", kind, list(numbers), body)

    def _write(self, sql: str, *values: Any) -> None:
        row = [value if isinstance(value, (str, int)) else _dumps(value) for value in values[:-1]]
        with _named_errors(self.path.parent):
            self._connection.execute(sql, [*row, _dumps(values[-1])])

    def _rows(self, sql: str) -> Iterator[Any]:
        """Row by row: all rows of a long search at once would take as much memory as what is made of them."""
        with _named_errors(self.path.parent):
            yield from self._connection.execute(sql)

    def _read(self, sql: str, *values: Any) -> list[Any]:
        with _named_errors(self.path.parent):
            return self._connection.execute(sql, values).fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a third of a millisecond, and a power cut loses nothing
    return connection


def lock_folder(folder: Path, look_on: str) -> sqlite3.Connection:
    """Hold a folder for one writer until the answer is closed; the system lets go when the process ends, however.

    `look_on` is the command that tells how it stands there.

    Raises:
        StorageError: another process holds it, or nothing can be written there.
    """
    lock: sqlite3.Connection | None = None
    try:
        lock = sqlite3.connect(folder / ".writer", isolation_level=None, timeout=0)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if lock is not None:
            lock.close()
        if "locked" not in str(error):
            raise StorageError(f"cannot write to {folder}: {error}. Make room or mend the permissions") from error
        raise StorageError(
            f"another process is writing to {folder}; wait for it, or stop it. To look on: {look_on}"
        ) from error
    return lock


@contextlib.contextmanager
def _named_errors(folder: Path) -> Iterator[None]:
    """Turn SQLite's and JSON's complaints into what happened to this run and what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in ("full", "disk I/O", "readonly", "unable to open")):
            raise StorageError(
                f"cannot write to {folder}: {error}. Make room or mend the permissions, then: mnas resume {folder}"
            ) from error
        raise StorageError(f"{folder}/trials.sqlite cannot be used: {error}") from error
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise StorageError(
            f"{folder}/trials.sqlite is damaged: {error}. Bring it back from a copy, "
            "or start a new run in another folder"
        ) from error


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    return json.loads(_dumps(value))


def _short(value: Any) -> str:
    text = _dumps(value)
    return text if len(text) <= 200 else f"{text[:197]}..."
