"""What runs in a worker process: jobs that come through a pipe, one at a time.

Each is two messages: what it calls, empty where that is the same as before, and its arguments.
"""

from __future__ import annotations

import multiprocessing.util
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NamedTuple

from mnas.errors import OutOfMemoryError
from mnas.executors._job import run_job

READY = b"ready"  # for jobs
BEGUN = b"begun"  # with a job: all that it needs is imported


class Reply(NamedTuple):
    """What became of a job."""

    value: Any  # a Finished, or the exception
    is_error: bool
    is_last: bool  # the worker ends: out of memory once, it would be again


def serve(connection: Connection, parent: int, memory_gb: float | None, gpu: str | None) -> None:
    """Run what comes through the pipe until it is closed."""
    _begin(parent, gpu)
    connection.send_bytes(READY)
    calls = _Calls()
    while True:
        try:
            function, arguments = connection.recv_bytes(), connection.recv_bytes()
        except EOFError:
            return
        reply = _reply(calls, function, arguments, memory_gb, connection)
        connection.send_bytes(_packed(reply))
        if reply.is_last:
            return


def _begin(parent: int, gpu: str | None) -> None:
    """Leave Ctrl-C to the parent, use one thread, and do not outlive the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held back until here (see ProcessExecutor)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


class _Calls:
    """The function that jobs call, which comes with the first of them."""

    def __init__(self) -> None:
        self._message = b""  # until it could be loaded: what failed for one job fails for the next alike
        self._function: Callable[..., Any] | None = None

    def function(self, message: bytes) -> Callable[..., Any]:
        """The one that was sent, or where nothing was the one before."""
        if message:
            self._message, self._function = message, None
        if self._function is None:
            self._function = pickle.loads(self._message)
            self._message = b""
        assert self._function is not None
        return self._function


def _reply(
    calls: _Calls, function: bytes, arguments: bytes, memory_gb: float | None, connection: Connection
) -> Reply:
    try:
        call, given = calls.function(function), pickle.loads(arguments)
        connection.send_bytes(BEGUN)
        return Reply(run_job(call, given, memory_gb), is_error=False, is_last=False)
    except BaseException as error:
        error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        return Reply(error, is_error=True, is_last=isinstance(error, OutOfMemoryError))


def _packed(reply: Reply) -> bytes:
    """Pickled. An exception that cannot be is told in words, as is a value."""
    with suppress(Exception):
        packed = pickle.dumps(reply)
        if reply.is_error:
            pickle.loads(packed)  # exceptions whose arguments are not those of their class fail only here
        return packed
    return pickle.dumps(Reply(RuntimeError(f"a job gave what cannot be sent: {reply.value!r}"), True, reply.is_last))


def _end(number: int, frame: FrameType | None) -> None:
    """End with the processes that this one has, such as those that load images."""
    multiprocessing.util._exit_function()  # type: ignore[attr-defined]  # multiprocessing ends its children there alone
    os._exit(1)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # the search was killed: what is trained now could not be stored
