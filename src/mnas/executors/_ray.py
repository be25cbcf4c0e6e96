"""Jobs on a Ray cluster: tasks, each on whatever node has what it takes.

A task is not retried by Ray: its worker's death is told as WorkerLostError, so that tries are counted where all
trials are. One thread here follows each task, so that no more than `workers` are in Ray at once: the rest of the
queue is ours. A task is a generator, which says first where it began: the time of a job counts from there, however
long it waited for a node.

What ran on a node that is cut off Ray itself tells after seven minutes alone (gRPC's keepalive), though the head
misses the node long before. So the head's list of nodes is looked at here. A task that has not begun when a node is
missed may wait for that node, and is begun anew as if it were another kind of task: Ray would think that what it has
asked the node for is enough.

Where several jobs share a GPU, each has its share of its memory. One that needs more is begun once more, with a GPU
of its own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

import mnas
from mnas.errors import OutOfMemoryError, SettingsError, StopError, TrainingError, WorkerLostError
from mnas.executors._contract import Finished, Limits, T, WorkerActivity
from mnas.executors._job import check_memory_limit, is_same
from mnas.executors._ray_cluster import Cluster, Demands
from mnas.executors._ray_job import Begun, head_gone, run_on_node, translated

_LOOK_S = 0.5  # between looks whether a job is beyond its time, or the executor closed
_HEAD_S = 5.0  # between looks whether the cluster's head answers
_NODES_S = 2.0  # between looks which nodes the head misses
_WATCHES = 2  # threads that look
_HEAD_MISSES = 4  # in a row: it is gone. Ray itself ends the process a minute after it went
_GPU_MEMORY = "CUDA out of memory"  # as torch says it
_SHOWN_S = 10.0  # that a job waits for a node before it is shown as waiting


class RayExecutor:
    """Up to `workers` jobs at once on a Ray cluster; a worker or a node that is lost costs its jobs alone.

        RayExecutor(32, address="auto", gpus=0.5)      # two jobs on each GPU of the cluster that this machine is in

    Every node needs this version of mnas, and sees what the jobs read under the same paths. A function is sent once,
    through the object store, with what it holds.

    Args:
        workers: jobs at once; None: as many as the nodes have room for at the start.
        limits: of each job; `memory_gb` is also what it takes of its node's memory.
        address: "local", a Ray begun for this search on this machine; "auto", the cluster that this machine is in;
            or that cluster's HOST:PORT.
        cpus: of a job, and its threads.
        gpus: of a job; a share below 1 has several jobs on each. One that runs out of the GPU's memory then is begun
            once more with a whole GPU.
        resources: of a job, further ones by the names that the nodes were started with.
        wait_for_nodes: whether nodes that can run the jobs are still to come, as where a cluster grows by itself.

    Raises:
        SettingsError: there is no such cluster, or none of its nodes can ever run a job.
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits | None = None,
        address: str = "local",
        cpus: float = 1,
        gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        wait_for_nodes: bool = False,
    ) -> None:
        if workers is not None and workers < 1:
            raise SettingsError(f"workers should be at least 1 on Ray, got {workers}")
        self.limits = limits or Limits()
        check_memory_limit(self.limits.memory_gb)
        demands = Demands(cpus, gpus, self.limits.memory_gb, resources or {})
        self._cluster = Cluster(address, demands, workers)
        try:
            self.workers = _workers(workers, self._cluster, wait_for_nodes)
            self.is_here = self._cluster.is_here
            self._tasks = _Tasks(demands, self.limits)
        except BaseException:
            self._cluster.close()
            raise
        self._changed = threading.Condition()
        self._queue: deque[_Job] = deque()
        self._threads: list[threading.Thread] = []
        self._running: list[_Job] = []
        self._known: dict[str, WorkerActivity] = {}  # what waits, by name, the one heard of last at the end
        self._dead: frozenset[str] = frozenset()  # nodes
        self._end: Exception | None = None  # what all jobs end with, once there is nothing to run them on
        self._ended = threading.Event()

    def submit(self, function: Callable[..., T], *arguments: Any, key: int | None = None) -> Future[Finished[T]]:
        """Run a job as soon as there are fewer than `workers` and a node has room."""
        job = _Job(Future(), key, function, arguments)
        with self._changed:
            if self._end is not None:
                job.finish(self._end)
                return job.future
            self._queue.append(job)
            if not self._threads:
                self._begin_thread(self._watch_head)
                self._begin_thread(self._watch_nodes)
            begun = len(self._threads) - _WATCHES
            if begun < self.workers and begun < len(self._running) + len(self._queue):
                self._begin_thread(self._work)
            self._changed.notify()
        return job.future

    def activity(self) -> list[WorkerActivity]:
        """What the workers do that were heard of, and which jobs wait for a node with room."""
        now = time.monotonic()
        with self._changed:
            running = [replace(job.worker, trial=job.key, since=job.since) for job in self._running if job.worker]
            late = [job for job in self._running if job.worker is None and now - job.began > _SHOWN_S]
            idle = list(self._known.values())[len(running) - self.workers :] if len(running) < self.workers else []
        waiting = [WorkerActivity(f"waits for a node, {n}", j.key, j.since, 0, 0.0) for n, j in enumerate(late, 1)]
        return [*running, *idle, *waiting]

    def close(self) -> None:
        """End what runs, and the Ray if it was begun for this."""
        self._stop(WorkerLostError("the executor was closed"))
        for thread in self._threads:
            thread.join(4 * _LOOK_S)
        self._cluster.close()

    def _begin_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _stop(self, end: Exception) -> None:
        """Let all jobs end with this, unless they already do with something else."""
        with self._changed:
            self._end = self._end or end
            waiting = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        self._ended.set()
        for job in waiting:
            job.finish(end)

    def _watch_head(self) -> None:
        misses = 0
        while self._end is None:
            misses = 0 if self._cluster.answers() else misses + 1
            if misses >= _HEAD_MISSES:
                self._stop(head_gone(self._cluster.head))
            self._ended.wait(_HEAD_S)

    def _watch_nodes(self) -> None:
        while self._end is None:
            with suppress(Exception):  # the head does not answer, of which the other watch tells
                self._dead = self._cluster.dead_nodes()
            self._ended.wait(_NODES_S)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._end is not None)
                if self._end is not None:
                    return
                job = self._queue.popleft()
                if job.future.cancelled():
                    job.future.set_running_or_notify_cancel()  # only now is it done for who waits for it
                    continue
                job.since, job.began = time.time(), time.monotonic()
                self._running.append(job)
            outcome = self._outcome(job)
            with self._changed:
                self._running.remove(job)
                self._note_end(job, outcome)
            job.finish(outcome)

    def _outcome(self, job: _Job) -> Finished[Any] | Exception:
        try:
            outcome = None
            while outcome is None:
                dead = self._dead
                outcome = self._follow(job, self._tasks.begin(job, len(dead)), dead)
                if self._tasks.needs_whole_gpu(job, outcome):
                    job.begin_again()
                    outcome = None
            return outcome
        except Exception as error:
            return translated(error, f"the worker {job.name}" if job.worker else "a node")

    def _follow(self, job: _Job, task: Any, dead: frozenset[str]) -> Finished[Any] | Exception | None:
        """What a task gave; None where it has not begun and more nodes are dead: it is to be begun anew.

        Whatever of it is not wanted any more is ended.
        """
        while self._end is None:
            given = self._tasks.next_item(task, min(_LOOK_S, job.seconds_left(self.limits.time_s)))
            if isinstance(given, Begun):
                if not self._note_start(job, given):
                    break
            elif given is None and job.worker is None and self._dead != dead:
                self._tasks.end(task)
                return None
            elif given is None and job.node in self._dead:
                self._tasks.end(task)
                return WorkerLostError(f"the worker {job.name} was lost with its node")
            elif isinstance(given, OutOfMemoryError):
                self._tasks.end(task)
                return given
            elif given is not None:
                return given
            elif job.seconds_left(self.limits.time_s) <= 0:
                self._tasks.end(task)
                return TrainingError(
                    f"the training took more than limits.time_s = {self.limits.time_s:g} seconds and was ended"
                )
        if not isinstance(self._end, StopError):  # else there is nobody to end it
            self._tasks.end(task)
        return self._end or WorkerLostError("the job was cancelled")

    def _note_start(self, job: _Job, begun: Begun) -> bool:
        """False where nobody waits for the job any more."""
        job.node = begun.node
        with self._changed:
            return job.start(self._known.pop(begun.worker, WorkerActivity(begun.worker, None, None, 0, 0.0)))

    def _note_end(self, job: _Job, outcome: Finished[Any] | Exception) -> None:
        """Its worker waits, as far as one knows: Ray ends workers as it likes, so only the last are kept."""
        if job.worker is None or isinstance(outcome, WorkerLostError):
            return
        seconds = job.worker.busy_seconds + time.monotonic() - job.began
        self._known[job.worker.name] = replace(job.worker, jobs=job.worker.jobs + 1, busy_seconds=seconds)
        while len(self._known) > self.workers:
            del self._known[next(iter(self._known))]


class _Job:
    """A job here: its future, and since when it is where."""

    def __init__(
        self, future: Future[Any], key: int | None, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self.future, self.key, self.function, self.arguments = future, key, function, arguments
        self.since, self.began = time.time(), time.monotonic()  # Ray has it; then: it started
        self.worker: WorkerActivity | None = None  # as it was before this job; None until it started
        self.node = ""
        self.has_whole_gpu = False  # for its share was not enough
        self._is_cancelled = False

    @property
    def name(self) -> str:
        """Of its worker."""
        return self.worker.name if self.worker else ""

    def start(self, worker: WorkerActivity) -> bool:
        """It runs; False where its future was cancelled."""
        self._is_cancelled = not (self.future.running() or self.future.set_running_or_notify_cancel())
        self.worker, self.since, self.began = worker, time.time(), time.monotonic()
        return not self._is_cancelled

    def begin_again(self) -> None:
        """With a GPU of its own, as soon as one is free."""
        self.has_whole_gpu, self.worker, self.node = True, None, ""
        self.since, self.began = time.time(), time.monotonic()

    def seconds_left(self, time_s: float | None) -> float:
        if self.worker is None or time_s is None:
            return _LOOK_S
        return max(0.0, self.began + time_s - time.monotonic())

    def finish(self, outcome: Finished[Any] | Exception) -> None:
        if self._is_cancelled or not (self.future.running() or self.future.set_running_or_notify_cancel()):
            return
        if isinstance(outcome, Finished):
            self.future.set_result(outcome)
        else:
            self.future.set_exception(outcome)


class _Tasks:
    """Jobs as Ray's tasks."""

    def __init__(self, demands: Demands, limits: Limits) -> None:
        import ray

        self._ray: Any = ray
        self._remote = self._ray.remote(max_retries=0, **demands.options)(run_on_node)
        self._memory: int = demands.options.get("memory", 0)
        threads = max(1, int(demands.cpus))
        self._settings = (limits.memory_gb, threads)
        self._gpus = demands.gpus
        self._lock = threading.Lock()
        self._sent: tuple[Callable[..., Any], Any] | None = None  # the last function, and where it lies

    def begin(self, job: _Job, kind: int) -> Any:
        """A task; those of another kind take a byte more, by which Ray takes them for others."""
        options: dict[str, Any] = {"name": "mnas" if job.key is None else f"mnas trial {job.key}"}
        if kind:
            options["memory"] = self._memory + kind
        gpus = 1 if job.has_whole_gpu else self._gpus
        if job.has_whole_gpu:
            options["num_gpus"] = gpus
        sent = self._send(job.function)
        return self._remote.options(**options).remote(mnas.__version__, sent, job.arguments, *self._settings, gpus)

    def needs_whole_gpu(self, job: _Job, outcome: Finished[Any] | Exception | None) -> bool:
        """Whether a job ran out of the memory of a GPU that it shared with others."""
        is_shared = 0 < self._gpus < 1 and not job.has_whole_gpu
        return is_shared and isinstance(outcome, OutOfMemoryError) and _GPU_MEMORY in str(outcome)

    def next_item(self, task: Any, seconds: float) -> Begun | Finished[Any] | OutOfMemoryError | None:
        """What the task gives next; None where there is nothing yet.

        Raises:
            RayError: the task ended badly.
        """
        ready, _ = self._ray.wait([task], timeout=seconds)
        if not ready:
            return None
        item: Begun | Finished[Any] | OutOfMemoryError = self._ray.get(next(task))
        return item

    def end(self, task: Any) -> None:
        """Kill its worker. If that is gone already, so much the better."""
        with suppress(Exception):
            self._ray.cancel(task, force=True)

    def _send(self, function: Callable[..., Any]) -> Any:
        """Where a function lies in the object store: with what it holds, such as images, it goes there once."""
        with self._lock:
            if self._sent is None or not is_same(function, self._sent[0]):
                self._sent = function, self._ray.put(function)
            return self._sent[1]


def _workers(wanted: int | None, cluster: Cluster, wait_for_nodes: bool) -> int:
    places = cluster.places
    if places == 0 and not wait_for_nodes:
        raise SettingsError(
            f"no node of the Ray cluster can run a job, which takes {cluster.demands}. The cluster has "
            f"{cluster.describe()}. Ask for less under [executor], start nodes that have it, or set "
            "executor.wait_for_nodes = true where the cluster grows by itself"
        )
    if wanted is None and places == 0:
        raise SettingsError("workers should be given where the nodes that run the jobs are still to come")
    return wanted or places
