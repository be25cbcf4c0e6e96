"""One job, where it runs: timed, within its memory, and what it died of said in words."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from mnas.errors import CandidateError, OutOfMemoryError, SettingsError
from mnas.executors._contract import Finished, T, worker_name

_GB = 1e9
# How torch says that there is no memory; it has a class of its own for that on a GPU alone.
_NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "CUDA out of memory")


def run_job(function: Callable[..., T], arguments: tuple[Any, ...], memory_gb: float | None = None) -> Finished[T]:
    """Call the function, in any worker of any executor.

    Raises:
        OutOfMemoryError: it ran out of memory, that of the machine or `memory_gb`.
    """
    began = time.monotonic()
    try:
        with _within(memory_gb):
            value = function(*arguments)
    except CandidateError:
        raise
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _NO_MEMORY):
            raise
        limit = "" if memory_gb is None else f" within limits.memory_gb = {memory_gb:g}"
        raise OutOfMemoryError(f"ran out of memory{limit}: {error}") from error
    return Finished(value, worker_name(), time.monotonic() - began)


def is_same(function: Callable[..., Any], other: Callable[..., Any] | None) -> bool:
    """Whether two jobs call the same, so that it is sent once: a bound method is another object at each access."""
    return function is other or (isinstance(function, MethodType) and function == other)


def check_memory_limit(memory_gb: float | None) -> None:
    """Raise SettingsError where a limit of memory cannot be kept."""
    if memory_gb is not None and sys.platform != "linux":
        raise SettingsError(f"limits.memory_gb can be kept on Linux alone, this is {sys.platform}: leave it out")


@contextmanager
def _within(memory_gb: float | None) -> Iterator[None]:
    """The process' private memory held below a limit: what goes beyond it raises where it is asked for."""
    if memory_gb is None:
        yield
        return
    import resource

    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory_gb * _GB), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))
