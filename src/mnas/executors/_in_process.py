"""Jobs one after the other in this process: for tests, debuggers and estimators that are formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mnas.errors import CandidateError
from mnas.executors._contract import T


class InProcessExecutor:
    """Runs each job when its outcome is asked for."""

    workers = 1

    def run(
        self, function: Callable[..., T], jobs: Mapping[int, tuple[Any, ...]]
    ) -> Iterator[tuple[int, T | CandidateError]]:
        """Each job's key and outcome, in the order of the jobs."""
        for key, arguments in jobs.items():
            try:
                yield key, function(*arguments)
            except CandidateError as error:
                yield key, error

    def close(self) -> None:
        """Nothing to stop."""
