"""All outcomes of some jobs, for whoever has nothing else to do meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from mnas.errors import CandidateError, WorkerLostError
from mnas.executors._contract import Executor, Finished, T


def outcomes(
    executor: Executor, function: Callable[..., T], jobs: Mapping[int, tuple[Any, ...]]
) -> Iterator[tuple[int, Finished[T] | CandidateError]]:
    """Each job's key, and what it gave or the CandidateError that ended it, in the order they finish.

    A job whose worker was lost is tried again, as often as the executor's limits say.
    """
    waiting, tries = list(jobs), dict.fromkeys(jobs, 0)
    running: dict[Future[Finished[T]], int] = {}
    while waiting or running:
        while waiting and len(running) < executor.workers:
            key = waiting.pop(0)
            tries[key] += 1
            running[executor.submit(function, *jobs[key], key=key)] = key
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            key = running.pop(future)
            try:
                yield key, future.result()
            except WorkerLostError as error:
                if tries[key] <= executor.limits.retries:
                    waiting.append(key)
                else:
                    yield key, error
            except CandidateError as error:
                yield key, error
