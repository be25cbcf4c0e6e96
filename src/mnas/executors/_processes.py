"""Jobs on this machine's cores: one worker process per core, one thread per worker.

Two threads on contended cores collapse where two processes do not, so a worker never gets more than one.

Each worker has a pipe of its own: what happens to one, at whatever moment, is nothing to the others. What jobs call
is sent to a worker once, with what it holds, such as an estimator and its images; arguments with each job. One thread
here gives out the jobs, hears of their ends, and ends what takes too long. It goes by monotonic time, so that a clock
that is set ends nothing.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple

from mnas.errors import SettingsError, StopError, TrainingError, WorkerLostError
from mnas.executors._contract import Finished, Limits, T, WorkerActivity, host_name
from mnas.executors._job import check_memory_limit, is_same
from mnas.executors._worker import BEGUN, READY, Reply, serve

_LOOK_S = 0.5  # between looks whether workers live: a pipe that a grandchild holds too tells of no death
_GRACE_S = 1.0  # from SIGTERM to SIGKILL: time to end what a worker has started
_STARTS = 3  # of workers in a row that die before their first job, ere it is given up
_CLOSED = "the executor was closed"


class ProcessExecutor:
    """`workers` processes that live from the first job to `close`; one that dies costs its own job alone.

    Where this machine has GPUs, the workers are dealt them by turns (CUDA_VISIBLE_DEVICES).

    Raises:
        SettingsError: fewer than one worker, or a limit that cannot be kept here.
    """

    is_here = True

    def __init__(self, workers: int, limits: Limits | None = None) -> None:
        if workers < 1:
            raise SettingsError(f"workers should be at least 1, got {workers}")
        self.workers = workers
        self.limits = limits or Limits()
        check_memory_limit(self.limits.memory_gb)
        gpus = visible_gpus()
        self._slots = [_Slot(self.limits, gpus[place % len(gpus)] if gpus else None) for place in range(workers)]
        self._queue: deque[_Job] = deque()
        self._function: _Function | None = None  # of the last job
        self._submitting = threading.Lock()
        self._bell, self._ring = multiprocessing.Pipe(duplex=False)
        self._manager: threading.Thread | None = None
        self._is_closed = False
        self._failed_starts = 0

    def submit(self, function: Callable[..., T], *arguments: Any, key: int | None = None) -> Future[Finished[T]]:
        """Run a job as soon as a worker is free; the function is pickled once, not with every job that calls it."""
        future: Future[Finished[T]] = Future()
        with self._submitting:
            try:
                if self._is_closed:
                    raise WorkerLostError(_CLOSED)
                job = _Job(future, key, self._packed(function), pickle.dumps(arguments))
            except Exception as error:
                future.set_exception(error)
                return future
            self._queue.append(job)
            if self._manager is None:
                atexit.register(self.close)  # before multiprocessing waits for its children, who wait for jobs
                self._manager = threading.Thread(target=self._manage, daemon=True)
                self._manager.start()
            self._ring.send_bytes(b"")
        return future

    def activity(self) -> list[WorkerActivity]:
        """What the workers do; one that was not started yet, or died, is not among them."""
        return [found for slot in self._slots if (found := slot.activity()) is not None]

    def close(self) -> None:
        """Stop the workers; what they were doing is lost."""
        with self._submitting:
            was_closed, self._is_closed = self._is_closed, True
        if self._manager is not None and not was_closed:
            self._ring.send_bytes(b"")
            self._manager.join()
            atexit.unregister(self.close)

    def _packed(self, function: Callable[..., Any]) -> _Function:
        if self._function is None or not is_same(function, self._function.function):
            self._function = _Function(function, pickle.dumps(function))
        return self._function

    def _manage(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            # Ctrl-C is for the main thread. Workers inherit this, and while they start they cannot ignore it yet.
            resource_tracker.ensure_running()  # else the first of them starts it, and it unblocks the signal
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while not self._is_closed:
                self._give_out()
                self._hear()
            self._fail_all(WorkerLostError(_CLOSED))
        except BaseException as error:
            self._fail_all(error)  # a bug: whoever waits for a job hears of it
            raise
        finally:
            _stop(slot.take_process() for slot in self._slots)

    def _give_out(self) -> None:
        """Jobs to workers that wait; new workers where more jobs than workers wait."""
        for slot in self._slots:
            while self._queue and slot.is_idle:
                slot.begin(self._queue.popleft())
        starting = sum(slot.is_starting for slot in self._slots)
        for slot in self._slots:
            if starting < len(self._queue) and slot.process is None:
                slot.start()
                starting += 1

    def _hear(self) -> None:
        """Wait for something to happen, and act on it."""
        alive = {slot.connection: slot for slot in self._slots if slot.connection is not None}
        ready = wait([self._bell, *alive], timeout=min([_LOOK_S, *(slot.seconds_left for slot in alive.values())]))
        while self._bell.poll():
            self._bell.recv_bytes()
        for connection, slot in alive.items():
            slot.look(has_news=connection in ready)
            if slot.failed_start is not None:
                self._note_failed_start(slot.failed_start)
                slot.failed_start = None
            elif slot.is_ready:
                self._failed_starts = 0

    def _note_failed_start(self, cause: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _STARTS:
            self._failed_starts = 0
            self._fail_all(
                StopError(
                    f"worker processes die as they start ({cause}), so nothing can be trained. In a script, what "
                    'starts a search should stand under: if __name__ == "__main__":'
                )
            )

    def _fail_all(self, error: BaseException) -> None:
        jobs = [*self._queue, *(job for slot in self._slots if (job := slot.take_job()) is not None)]
        self._queue.clear()
        for job in jobs:
            if job.future.running() or job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)


class _Function(NamedTuple):
    """What jobs call, and its pickle."""

    function: Callable[..., Any]
    message: bytes


class _Job(NamedTuple):
    future: Future[Any]
    key: int | None
    function: _Function
    message: bytes  # its pickled arguments


class _Slot:
    """Place for one worker process, and what it does."""

    def __init__(self, limits: Limits, gpu: str | None) -> None:
        self.limits, self.gpu = limits, gpu
        self.process: SpawnProcess | None = None
        self.connection: Connection | None = None
        self.is_ready = False  # it runs, and has said so
        self.failed_start: str | None = None  # what it died of before it was ready
        self._job: _Job | None = None
        self._function: _Function | None = None  # that the process was sent
        self._has_begun = False  # the job; until then its worker imports what it needs, which may take seconds
        self._began, self._since = 0.0, 0.0  # monotonic; since the epoch
        self._jobs, self._busy_seconds = 0, 0.0

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self._job is None

    @property
    def is_starting(self) -> bool:
        return self.process is not None and not self.is_ready

    @property
    def seconds_left(self) -> float:
        """Until its job is beyond its time."""
        if not self._has_begun or self.limits.time_s is None:
            return _LOOK_S
        return max(0.0, self._began + self.limits.time_s - time.monotonic())

    def activity(self) -> WorkerActivity | None:
        process, job = self.process, self._job
        if process is None:
            return None
        name = f"{host_name()}:{process.pid}"
        key, since = (job.key, self._since) if job else (None, None)
        return WorkerActivity(name, key, since, self._jobs, self._busy_seconds)

    def start(self) -> None:
        # A forked torch process can hang in a lock that another thread of its parent held.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, os.getpid(), self.limits.memory_gb, self.gpu)
        self.process, self.is_ready = context.Process(target=serve, args=arguments), False
        self._function = None
        self.process.start()
        theirs.close()  # else the pipe would not end with the worker

    def begin(self, job: _Job) -> None:
        """Send a job to the worker, which waits for one."""
        if not job.future.set_running_or_notify_cancel():
            return
        self._job, self._began, self._since = job, time.monotonic(), time.time()
        self._has_begun = False
        assert self.connection is not None
        with suppress(OSError):  # it died: the next look says so
            self.connection.send_bytes(b"" if job.function is self._function else job.function.message)
            self.connection.send_bytes(job.message)
        self._function = job.function

    def look(self, has_news: bool) -> None:
        """What the worker says, whether it lives, and whether its job takes too long."""
        assert self.connection is not None
        assert self.process is not None
        is_alive = self.process.is_alive()  # before the last look into the pipe: what it said as it died counts
        try:
            while self.connection is not None and (has_news or not is_alive) and self.connection.poll():
                self._heard(self.connection.recv_bytes())
        except (EOFError, OSError):
            is_alive = False
        if self.process is None:
            return
        if not is_alive:
            self._lost()
        elif self.seconds_left == 0:
            self._beyond_time()

    def take_job(self) -> _Job | None:
        """The job, which is not this worker's any more."""
        job, self._job, self._has_begun = self._job, None, False
        if job is not None:
            self._jobs += 1
            self._busy_seconds += time.monotonic() - self._began
        return job

    def take_process(self) -> SpawnProcess | None:
        """The process, which nothing is expected of any more."""
        process, self.process, self.is_ready = self.process, None, False
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        return process

    def _heard(self, message: bytes) -> None:
        if message == READY:
            self.is_ready = True
            return
        if message == BEGUN:
            self._has_begun, self._began = True, time.monotonic()
            return
        reply: Reply = pickle.loads(message)
        job = self.take_job()
        if reply.is_last:
            _stop([self.take_process()])
        assert job is not None
        if reply.is_error:
            job.future.set_exception(reply.value)
        else:
            job.future.set_result(reply.value)

    def _lost(self) -> None:
        was_ready, job, process = self.is_ready, self.take_job(), self.take_process()
        assert process is not None
        process.join(_GRACE_S)
        _stop([process])
        cause = _cause(process.exitcode)
        if not was_ready:
            self.failed_start = cause
        if job is not None:
            job.future.set_exception(WorkerLostError(f"the worker process died ({cause})"))

    def _beyond_time(self) -> None:
        job = self.take_job()
        _stop([self.take_process()])
        assert job is not None
        job.future.set_exception(
            TrainingError(f"the training took more than limits.time_s = {self.limits.time_s:g} seconds and was ended")
        )


def visible_gpus() -> list[str]:
    """This machine's GPUs by what CUDA_VISIBLE_DEVICES calls them; found without CUDA, which takes seconds."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        return [str(number) for number in range(len(list(Path("/proc/driver/nvidia/gpus").iterdir())))]
    except OSError:
        return []


def _stop(processes: Iterable[SpawnProcess | None]) -> None:
    """End them, politely at first."""
    left = [process for process in processes if process is not None]
    for process in left:
        process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for process in left:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        killed = " - often the system, out of memory" if -code == signal.SIGKILL else ""
        return f"{signal.Signals(-code).name}{killed}"
    return f"exit code {code}"
