"""The contract of everything that runs jobs for the search."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

from mnas.errors import SettingsError

T = TypeVar("T")


@dataclass(frozen=True)
class Finished(Generic[T]):
    """What a job gave, and where."""

    value: T
    worker: str  # "host:process id"
    seconds: float  # of the job alone, without waiting for a worker


@dataclass(frozen=True)
class Limits:
    """What one job may take, and how often it is tried.

    Raises:
        SettingsError: a limit is out of its range.
    """

    time_s: float | None = None  # wall time; beyond it the worker is ended, a TrainingError
    memory_gb: float | None = None  # of one worker; beyond it a TrainingError
    retries: int = 2  # more tries of a job whose worker was lost; what failed by itself is never tried again

    def __post_init__(self) -> None:
        for name in ("time_s", "memory_gb"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"limits: {name} should be above 0, got {value!r}")
        if self.retries < 0:
            raise SettingsError(f"limits: retries should be at least 0, got {self.retries!r}")


@dataclass(frozen=True)
class WorkerActivity:
    """What a worker does, for a display."""

    name: str  # "host:process id"
    trial: int | None  # the key of its job; None where it waits
    since: float | None  # seconds since the epoch
    jobs: int  # it ended, this one apart
    busy_seconds: float  # in those


class Executor(Protocol):
    """Runs jobs in workers, each a call of a function; the future of each gives what it gave.

        future = executor.submit(estimator.estimate, architecture, seed, key=7)
        future.result()       # Finished(AccuracyEstimate(...), worker="desk:4711", seconds=61.2)

    What is submitted beyond `workers` waits. A function goes to a worker once, with what it holds: what a job changes
    of it, the next one there may find changed, and what changes here afterwards no worker hears of. Futures raise

        CandidateError: the job's own failure, such as a training that diverged or went beyond a limit.
        WorkerLostError: a CandidateError too; the worker or its node died, and the job may be tried again.
        StopError: there is nothing left to run jobs on.

    and whatever else the job raises: a bug or a wrong setting, which stops the search.
    """

    workers: int  # jobs that run at once
    is_here: bool  # they run on this machine, so that an exclusive device must not measure beside them
    limits: Limits

    def submit(self, function: Callable[..., T], *arguments: Any, key: int | None = None) -> Future[Finished[T]]:
        """Run a job as soon as a worker is free; `key` is what `activity` calls it by."""
        ...

    def activity(self) -> list[WorkerActivity]:
        """What the workers do, as far as it is known here."""
        ...

    def close(self) -> None:
        """Stop the workers; what they were doing is lost."""
        ...


def worker_name() -> str:
    """Of this process, as `Finished` names it."""
    return f"{host_name()}:{os.getpid()}"


@cache
def host_name() -> str:
    """Of this machine."""
    return socket.gethostname()
