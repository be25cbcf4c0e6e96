"""Jobs on this machine's cores: one worker process per core, one thread per worker.

Two threads on contended cores collapse where two processes do not, so a worker never gets more than one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from pebble import ProcessExpired, ProcessPool

from mnas.errors import CandidateError, SettingsError, TrainingError
from mnas.executors._contract import T


class ProcessExecutor:
    """`workers` processes that live from the first job to `close`; one that dies costs its own job alone."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise SettingsError(f"workers should be at least 1, got {workers}")
        self.workers = workers
        self._pool: ProcessPool | None = None

    def run(
        self, function: Callable[..., T], jobs: Mapping[int, tuple[Any, ...]]
    ) -> Iterator[tuple[int, T | CandidateError]]:
        """Each job's key and outcome, in the order they finish."""
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self.workers,
                initializer=_begin_worker,
                initargs=[os.getpid()],
                # A forked torch process can hang in a lock that another thread of its parent held.
                context=multiprocessing.get_context("spawn"),
            )
        futures: dict[Future[T], int] = {
            self._pool.submit(function, None, *arguments): key for key, arguments in jobs.items()
        }
        pending = set(futures)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                outcome: T | CandidateError = _outcome(future)
                yield futures[future], outcome

    def close(self) -> None:
        """Stop the workers; what they were doing is lost."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None


def _outcome(future: Future[Any]) -> Any:
    try:
        return future.result()
    except CandidateError as error:
        return error
    except MemoryError as error:
        return TrainingError(f"the worker ran out of memory: {error}")
    except ProcessExpired as error:
        return TrainingError(f"the worker process died ({_cause(error.exitcode)})")


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        killed = " - often the system, out of memory" if -code == signal.SIGKILL else ""
        return f"{signal.Signals(-code).name}{killed}"
    return f"exit code {code}"


def _begin_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, use one thread, and do not outlive the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # the search was killed: what is trained now could not be stored
