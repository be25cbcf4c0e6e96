"""Where evaluations run, behind one contract. The search loop stays the only writer."""

from typing import TYPE_CHECKING, Any

from mnas.executors._contract import Executor, Finished, Limits, WorkerActivity
from mnas.executors._in_process import InProcessExecutor
from mnas.executors._job import run_job
from mnas.executors._outcomes import outcomes
from mnas.executors._threads import ThreadExecutor

if TYPE_CHECKING:
    from mnas.executors._processes import ProcessExecutor
    from mnas.executors._ray import RayExecutor

__all__ = [
    "Executor",
    "Finished",
    "InProcessExecutor",
    "Limits",
    "ProcessExecutor",
    "RayExecutor",
    "ThreadExecutor",
    "WorkerActivity",
    "outcomes",
    "run_job",
]


def __getattr__(name: str) -> Any:
    if name == "ProcessExecutor":
        from mnas.executors._processes import ProcessExecutor

        return ProcessExecutor
    if name == "RayExecutor":
        from mnas.executors._ray import RayExecutor

        return RayExecutor
    raise AttributeError(name)
