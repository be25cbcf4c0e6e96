"""status.json: how a run stands, replaced whole while it runs, so that any host that sees its folder can look on.

SQLite's write-ahead log works on one machine alone; on a network file system others must leave trials.sqlite be. They
read this file, which is never half there. Who reads "running" in a file that was not written for a minute is told
"silent": the process that searches does not answer, because it was killed, lost its machine or its network.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from mnas._whole_file import remove_unfinished, write_whole
from mnas.activity import QUEUES, Activity, DeviceActivity
from mnas.budget import Budget, Ledger, Spent
from mnas.errors import MnasError, StorageError
from mnas.executors import WorkerActivity
from mnas.loop import Progress, Watch
from mnas.result import Counts

NAME = "status.json"
FORMAT = 1
_OFTEN, _SELDOM = 1.0, 5.0  # seconds between two writings, where there is news and where there is none
_SILENT = 60.0  # seconds after which a running search that wrote nothing does not answer

State = Literal["running", "finished", "stopped", "failed", "silent"]
_ACTIVITY = ("asynchronous", "queue", "workers", "devices", "retries", "failures")
NOTHING = Activity(False, dict.fromkeys(QUEUES, 0), (), (), 0, ())


@dataclass(frozen=True)
class Status:
    """How a run stands. Times are in seconds since the epoch, by the clock of the host that searches."""

    name: str
    total: int
    counts: Counts
    state: State = "running"
    phase: str = ""
    message: str = ""  # why it ended, where that needs a word
    host: str = ""
    pid: int = 0
    written: float = 0.0
    began: float = 0.0  # this process of it
    best_reward: float | None = None
    front_size: int = 0
    activity: Activity = NOTHING
    trials_per_hour: float | None = None  # by this process
    seconds: float = 0.0  # of search, by all its processes
    seconds_left: float | None = None
    spent: Spent = field(default_factory=Spent)
    budget: Mapping[str, float | None] = field(default_factory=dict)  # by the names of `spent`; None: no limit
    currency: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        data = {"format": FORMAT} | asdict(replace(self, activity=NOTHING))
        del data["activity"]
        return data | {
            "asynchronous": self.activity.asynchronous,
            "queue": dict(self.activity.queue),
            "workers": [asdict(worker) for worker in self.activity.workers],
            "devices": [asdict(device) for device in self.activity.devices],
            "retries": self.activity.retries,
            "failures": [{"trial": trial, "error": error} for trial, error in self.activity.failures],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Status:
        """The inverse of `to_dict`."""
        rest = {key: value for key, value in data.items() if key not in ("format", *_ACTIVITY)}
        activity = Activity(
            asynchronous=data["asynchronous"],
            queue=data["queue"],
            workers=tuple(WorkerActivity(**worker) for worker in data["workers"]),
            devices=tuple(DeviceActivity(**device) for device in data["devices"]),
            retries=data["retries"],
            failures=tuple((failure["trial"], failure["error"]) for failure in data["failures"]),
        )
        read = {"counts": Counts(**data["counts"]), "spent": Spent(**data["spent"]), "activity": activity}
        return cls(**(rest | read))


def write_status(folder: Path, status: Status) -> None:
    """Replace a run's status.json.

    Raises:
        StorageError: it cannot be written, as where the disk is full.
    """
    text = json.dumps(status.to_dict(), allow_nan=False, indent=1)
    write_whole(folder / NAME, text.encode())


def read_status(folder: Path, now: float | None = None) -> Status | None:
    """A run's status.json, None where there is none; "silent" where it should run and wrote nothing for a minute.

    Raises:
        StorageError: it is damaged, or of another format.
    """
    path = folder / NAME
    try:
        data = json.loads(path.read_bytes())
        if data["format"] != FORMAT:
            raise StorageError(f"{path} has format {data['format']}; this mnas reads format {FORMAT}")
        status = Status.from_dict(data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{path} is damaged: {error!r}. It says how the run stands and nothing else: the run itself writes it "
            f"anew while it runs, and mnas resume {folder} goes on with it"
        ) from error
    is_silent = status.state == "running" and (time.time() if now is None else now) - status.written > _SILENT
    return replace(status, state="silent") if is_silent else status


class StatusFile:
    """Keeps a run's status.json while this process works on it, and says in the end how it ended.

        with StatusFile(folder, name, total, budget) as file:
            file.ledger = ledger          # from where on it counts what is spent
        with file.asking(activity):   # a function that tells what goes on
            ...
            search(watch=file.beside(watch))

    A thread writes it anew every few seconds, whatever the search waits for, with what goes on then: a measurement on
    the machine that trains keeps the search's own thread for as long as it takes. What cannot be written is left out:
    the search itself does not hang on it, and stops by its journal where the disk is full.
    """

    def __init__(self, folder: Path, name: str, total: int, budget: Budget) -> None:
        self.ledger: Ledger | None = None
        self._activity: Callable[[], Activity] | None = None
        self.message = ""  # for the end, where the search says why it ended
        self._folder = folder
        now = time.time()
        self._status = Status(
            name, total, Counts.of([]), phase="starting", host=socket.gethostname(), pid=os.getpid(), began=now,
            budget={"trials": total, **budget.limits}, currency=budget.currency,
        )  # fmt: skip
        self._had: int | None = None  # trials when the search began
        self._began = 0.0
        self._last = 0.0  # on the monotonic clock, as above
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._beating, name="mnas status", daemon=True)

    def update(self, progress: Progress) -> None:
        """Take in how far the search is; written at most once a second."""
        with self._lock:
            self._status = self._advanced(progress)
            if time.monotonic() - self._last >= _OFTEN:
                self._write()

    def beside(self, watch: Watch) -> Watch:
        """A watch that updates this file and then calls the given one."""

        def both(progress: Progress) -> None:
            self.update(progress)
            watch(progress)

        return both

    @contextmanager
    def asking(self, activity: Callable[[], Activity]) -> Iterator[None]:
        """Meanwhile what goes on is asked for at each writing, by another thread than the search's."""
        self._activity = activity
        try:
            yield
        finally:
            self._activity = None

    def __enter__(self) -> Self:
        remove_unfinished(self._folder)  # of a process that was killed
        with self._lock:
            self._write()
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._beat.join()
        state: State = "stopped" if isinstance(error, KeyboardInterrupt) else "failed" if error else "finished"
        message = _line(error) if state == "failed" and error else self.message
        self._status = self._accounted(
            replace(self._status, state=state, message=message, seconds_left=None, activity=self._rested())
        )
        self._write()

    def _advanced(self, progress: Progress) -> Status:
        trials = progress.counts.trials
        if self._had is None and self.ledger is not None:
            self._had, self._began = trials, time.monotonic()
        passed = time.monotonic() - self._began
        done = trials - self._had if self._had is not None else 0
        advanced = replace(
            self._status,
            phase=progress.phase,
            total=progress.total,
            counts=progress.counts,
            best_reward=progress.best_reward,
            front_size=progress.front_size,
            activity=progress.activity or NOTHING,
            trials_per_hour=3600 * done / passed if done and passed else self._status.trials_per_hour,
            seconds_left=progress.seconds_left,
        )
        return self._accounted(advanced)

    def _accounted(self, status: Status) -> Status:
        if self.ledger is None:
            return status
        return replace(status, seconds=self.ledger.seconds, spent=self.ledger.spent())

    def _rested(self) -> Activity:
        """What remains to be told of workers and devices once all have stopped."""
        last = self._status.activity
        workers = tuple(replace(worker, trial=None, since=None) for worker in last.workers)
        devices = tuple(replace(device, trial=None, since=None) for device in last.devices)
        return replace(last, queue=dict.fromkeys(QUEUES, 0), workers=workers, devices=devices)

    def _beating(self) -> None:
        while not self._ended.wait(_SELDOM):
            with self._lock:
                self._status = self._present()
                self._write()

    def _present(self) -> Status:
        """What is known of now, in another thread than the search's."""
        status, ledger, ask = self._status, self.ledger, self._activity
        if ledger is not None:
            status = replace(status, seconds=ledger.seconds, spent=ledger.last_spent())
        activity = ask() if ask is not None else None
        return status if activity is None else replace(status, activity=activity, phase=activity.phase)

    def _write(self) -> None:
        self._last = time.monotonic()
        self._status = replace(self._status, written=time.time())
        try:
            write_status(self._folder, self._status)
        except MnasError:
            return  # the next one may come through


def _line(error: BaseException) -> str:
    """An error's message on one line; by its class, where it is none that mnas raises."""
    text = " ".join(str(error).split())
    return text if isinstance(error, MnasError) else f"{type(error).__name__}: {text}"
