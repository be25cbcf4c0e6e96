"""One job on a node of a Ray cluster, and what Ray says of a job that ended badly in the words of the search."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import mnas
from mnas.errors import OutOfMemoryError, StopError, TrainingError, WorkerLostError
from mnas.executors._contract import Finished, T, host_name, worker_name
from mnas.executors._job import run_job

_GO_ON = "What is finished is stored; go on with mnas resume"


class Begun(NamedTuple):
    """Where a job runs."""

    worker: str  # "host:process id"
    node: str  # Ray's id of it


def run_on_node(
    version: str,
    function: Callable[..., T],
    arguments: tuple[Any, ...],
    memory_gb: float | None,
    threads: int,
    gpus: float,
) -> Iterator[Begun | Finished[T] | OutOfMemoryError]:
    """First where it is, when it begins; then what the job gave.

    Raises:
        StopError: this node has another version of mnas than the search.
    """
    check_version(version)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if gpus:
        _keep_share(gpus)
    else:  # Ray hides them from jobs that asked for none, but not in every version
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    yield Begun(worker_name(), _node())
    try:
        yield run_job(function, arguments, memory_gb)
    except OutOfMemoryError as error:
        yield error
        while True:  # until the search has heard of it and ends this worker: out of memory once, it would be again
            time.sleep(1)
    except Exception as error:
        if _can_be_sent(error):
            raise
        # Ray would say that the worker was lost, and it would be tried again.
        raise RuntimeError(f"a job raised what cannot be sent: {error!r}") from error


def _keep_share(gpus: float) -> None:
    """Of the GPU's memory no more than its share, so that one that needs more fails itself and not its neighbours."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpus))


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _can_be_sent(error: Exception) -> bool:
    """Exceptions whose arguments are not those of their class fail only where they are made again."""
    from ray import cloudpickle

    pickle: Any = cloudpickle
    with suppress(Exception):
        pickle.loads(pickle.dumps(error))
        return True
    return False


def check_version(version: str) -> None:
    """Raise StopError where this process has another version of mnas."""
    if version != mnas.__version__:
        raise StopError(
            f"the search runs mnas {version}, and node {host_name()} has mnas {mnas.__version__}: accuracies of two "
            f"versions are not to be mixed. Install {version} on every node, then go on with mnas resume"
        )


def translated(error: Exception, worker: str) -> Exception:
    """What the search is told of an error that Ray raised for a job of this worker."""
    from ray import exceptions as ray_errors

    if isinstance(error, ray_errors.RayTaskError):
        return _raised_by_job(error)
    if isinstance(error, ray_errors.OutOfMemoryError):
        return TrainingError(f"Ray ended the training since {worker} ran out of memory (see limits.memory_gb)")
    if isinstance(error, ray_errors.LocalRayletDiedError | ray_errors.RpcError):
        return StopError(f"this machine's part of the Ray cluster is gone ({_line(error)}). {_GO_ON}")
    if isinstance(error, ray_errors.RaySystemError | ray_errors.RuntimeEnvSetupError):
        return StopError(f"Ray itself failed: {_line(error)}. {_GO_ON}")
    if isinstance(error, ray_errors.RayError):  # a worker, a node or what lay on it: many classes, and new ones
        return WorkerLostError(f"{worker} was lost ({type(error).__name__})")
    return error


def head_gone(address: str) -> StopError:
    """The head of the cluster has not answered for long."""
    return StopError(f"the head of the Ray cluster at {address} does not answer any more. {_GO_ON}")


def _raised_by_job(error: Any) -> Exception:
    cause: Exception = error.cause
    told = str(error)  # with the traceback, and where
    if "No module named 'mnas" in told:
        return StopError(
            f"a node of the Ray cluster has no mnas, or not all of it: install mnas {mnas.__version__} with the same "
            f"extras on every node, then go on with mnas resume. {told.splitlines()[0]}"
        )
    cause.add_note(f"in a Ray worker:\n{told}")
    return cause


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
