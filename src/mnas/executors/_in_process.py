"""Jobs one after the other in this process: for tests, debuggers and estimators that are formulas."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from mnas.errors import SettingsError
from mnas.executors._contract import Finished, Limits, T, WorkerActivity, worker_name
from mnas.executors._job import check_memory_limit, run_job


class InProcessExecutor:
    """Runs each job where it is submitted: the future that comes back is done.

    Raises:
        SettingsError: a limit of time, which nobody is there to keep.
    """

    workers = 1
    is_here = True

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        check_memory_limit(self.limits.memory_gb)
        if self.limits.time_s is not None:
            raise SettingsError(
                "limits.time_s needs worker processes, which can be ended: give workers = 1 or more, or leave it out"
            )
        self._jobs, self._busy_seconds = 0, 0.0
        self._current: tuple[int | None, float] | None = None  # the job's key, and since when; for other threads

    def submit(self, function: Callable[..., T], *arguments: Any, key: int | None = None) -> Future[Finished[T]]:
        """Run the job now. Ctrl-C within it is raised here, as in any other call."""
        future: Future[Finished[T]] = Future()
        self._current = key, time.time()
        try:
            finished = run_job(function, arguments, self.limits.memory_gb)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(finished)
            self._busy_seconds += finished.seconds
        finally:
            self._current = None
        self._jobs += 1
        return future

    @property
    def is_busy(self) -> bool:
        """Whether a job runs: only another thread can ask then."""
        return self._current is not None

    def activity(self) -> list[WorkerActivity]:
        """This process; whoever submits jobs finds it waiting, other threads what it does."""
        key, since = self._current or (None, None)
        return [WorkerActivity(worker_name(), key, since, self._jobs, self._busy_seconds)]

    def close(self) -> None:
        """Nothing to stop."""
