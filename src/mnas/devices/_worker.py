"""The timing process: `python -m mnas.devices._worker`, one runtime in a process of its own.

It reads networks from its standard input, times them and answers on its standard output. It ends with its
standard input, and when the process that started it is gone: a device never leaves anything running.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import select
import signal
import sys
import threading
from collections.abc import Iterator
from typing import IO

import numpy as np

from mnas.devices._timing import Stopwatch, TimingPlan, time_runs
from mnas.devices._wire import Header, receive, send
from mnas.devices.runtimes import RUNTIMES, Runtime

_Message = tuple[Header, list[bytes]]


def main(settings: Header) -> None:
    """Serves until the parent goes. `settings`: runtime, threads, cores (or None), parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which then closes this process
    requests, answers = _private_pipes()
    _die_with(settings["parent"])
    runtime = RUNTIMES[settings["runtime"]]
    try:
        send(answers, {"version": runtime.version(), "cores": _pin(settings["cores"])})
    except ImportError as error:
        send(answers, {"error": str(error)})
        return
    for header, parts in _messages(requests):
        try:
            reply = ({},) if "ping" in header else _measure(runtime, settings["threads"], header, *parts)
        except Exception as error:  # whatever a runtime raises for this network; the next may do
            reply = ({"error": f"{type(error).__name__}: {error}"},)
        send(answers, *reply)


def _measure(runtime: Runtime, threads: int, header: Header, model: bytes, images: bytes) -> tuple[Header, bytes]:
    array = np.frombuffer(images, np.float32).reshape(header["shape"]).copy()
    with Stopwatch() as loading:
        session = runtime.load(model, array, threads)
    with Stopwatch() as watch:
        timing = time_runs(session.run, TimingPlan(**header["plan"]))
    output = np.ascontiguousarray(session.output(), np.float32)
    reply = {"timing": dataclasses.asdict(timing), "shape": output.shape}
    seconds = {"load_seconds": loading.seconds, "timing_seconds": watch.seconds}
    return reply | seconds, output.tobytes()


def _private_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes to the parent, moved off the standard descriptors: libraries print to those."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return requests, answers


def _messages(requests: IO[bytes]) -> Iterator[_Message]:
    """Messages as they come. The process ends with the pipe, in the middle of a measurement too."""
    waiting: queue.SimpleQueue[_Message] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                waiting.put(receive(requests))
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def _die_with(parent: int) -> None:
    """Ends this process with the parent, also where other children of the parent hold the pipe open."""
    if not hasattr(os, "pidfd_open"):
        return  # then the end of the pipe has to do
    try:
        descriptor = os.pidfd_open(parent)
    except OSError:
        descriptor = -1
    if os.getppid() != parent:
        os._exit(0)

    def wait() -> None:
        select.select([descriptor], [], [])
        os._exit(0)

    if descriptor >= 0:  # some sandboxes have no such call
        threading.Thread(target=wait, daemon=True).start()


def _pin(cores: list[int] | None) -> list[int] | None:
    """Keeps this process on the cores; the ones it got, None where that cannot be done."""
    if cores is None:
        return None
    try:
        os.sched_setaffinity(0, cores)
    except OSError:
        return None
    return sorted(os.sched_getaffinity(0))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
