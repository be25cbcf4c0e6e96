"""The contract of everything that runs jobs for the search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from mnas.errors import CandidateError

T = TypeVar("T")


class Executor(Protocol):
    """Runs a function over many arguments and hands back results as they finish.

        for key, outcome in executor.run(estimator.estimate, {7: (architecture, seed), 8: ...}):
            ...                        # outcome: an AccuracyEstimate, or the CandidateError that ended it

    A job that fails costs itself alone: its outcome is a TrainingError that says why. Anything but a
    CandidateError that a job raises, it raises here: that is a bug or a wrong setting, and stops the search.
    """

    workers: int

    def run(
        self, function: Callable[..., T], jobs: Mapping[int, tuple[Any, ...]]
    ) -> Iterator[tuple[int, T | CandidateError]]:
        """Each job's key and outcome, in the order they finish."""
        ...

    def close(self) -> None:
        """Stop the workers; what they were doing is lost."""
        ...
