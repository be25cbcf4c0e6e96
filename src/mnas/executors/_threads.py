"""Jobs in threads of this process: for what waits for another machine, such as a device that measures."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from mnas.errors import WorkerLostError
from mnas.executors._contract import Finished, Limits, T, WorkerActivity
from mnas.executors._job import run_job


class ThreadExecutor:
    """`workers` threads from the first job to `close`. A process that ends does not wait for them.

    The threads of `concurrent.futures` are waited for, and a measurement may take a minute: Ctrl-C would too.
    """

    is_here = True
    limits = Limits()

    def __init__(self, workers: int, names: Callable[[int], str] = "thread {}".format) -> None:
        self.workers = workers
        self._names = names
        self._waiting: deque[tuple[Future[Any], int | None, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._changed = threading.Condition()
        self._activity: list[WorkerActivity] = []
        self._is_closed = False

    def submit(self, function: Callable[..., T], *arguments: Any, key: int | None = None) -> Future[Finished[T]]:
        """Run a job as soon as a thread is free."""
        future: Future[Finished[T]] = Future()
        with self._changed:
            if self._is_closed:
                future.set_exception(WorkerLostError("the executor was closed"))
                return future
            self._waiting.append((future, key, function, arguments))
            if len(self._activity) < self.workers:
                place = len(self._activity)
                self._activity.append(WorkerActivity(self._names(place + 1), None, None, 0, 0.0))
                threading.Thread(target=self._work, args=(place,), daemon=True).start()
            self._changed.notify()
        return future

    def activity(self) -> list[WorkerActivity]:
        """What the threads do."""
        with self._changed:
            return list(self._activity)

    def close(self) -> None:
        """Begin nothing more; what is running goes on until it ends, and nobody hears of it."""
        with self._changed:
            self._is_closed = True
            for future, *_ in self._waiting:
                future.cancel()
                future.set_running_or_notify_cancel()  # only now is it done for who waits for it
            self._waiting.clear()
            self._changed.notify_all()

    def _work(self, place: int) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                future, key, function, arguments = self._waiting.popleft()
                self._activity[place] = replace(self._activity[place], trial=key, since=time.time())
            if future.set_running_or_notify_cancel():
                self._run(place, future, function, arguments)

    def _run(self, place: int, future: Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        began = time.monotonic()
        try:
            outcome = run_job(function, arguments)
        except BaseException as error:
            self._note_end(place, time.monotonic() - began)
            future.set_exception(error)
        else:
            self._note_end(place, time.monotonic() - began)
            future.set_result(outcome)

    def _note_end(self, place: int, seconds: float) -> None:
        with self._changed:
            before = self._activity[place]
            self._activity[place] = WorkerActivity(
                before.name, None, None, before.jobs + 1, before.busy_seconds + seconds
            )
