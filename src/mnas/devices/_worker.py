"""The timing process: `python -m mnas.devices._worker`, one runtime in a process of its own.

It reads what to do from its standard input, times networks and answers on its standard output. It ends with its
standard input, and when the process that started it is gone: a device never leaves anything running. It may
run on a machine that has nothing of mnas but this file and the few that it imports (`_agent.py`).
"""

from __future__ import annotations

import dataclasses
import os
import platform
import signal
from typing import Any

import numpy as np

from mnas.devices import _host
from mnas.devices._serving import die_with, messages, private_pipes
from mnas.devices._timing import Stopwatch, TimingPlan, time_spell, warm_up
from mnas.devices._wire import Header, receive, send
from mnas.devices.runtimes import Array, Session, find_runtime

_PRIORITY = 10  # of real time, where 1 is enough to come before everything that has none


def main() -> None:
    """Serves until the parent goes. The first message says: runtime, precision, threads, parent (None: far away)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which then closes this process
    requests, answers = private_pipes()
    try:
        settings, _ = receive(requests)
    except EOFError:
        return
    die_with(settings["parent"])
    # Before the server has its core and its priority, which threads inherit: what ends the process in the middle of
    # a spell must not wait for the spell's core.
    asked = messages(requests)
    try:
        server = _Server(settings["runtime"], settings["precision"], settings["threads"])
        send(answers, server.hello())
    except ImportError as error:
        send(answers, {"missing": str(error)})
        return
    except ValueError as error:
        send(answers, {"error": str(error)})
        return
    for header, parts in asked:
        try:
            reply = server.answer(header, parts)
        except Exception as error:  # whatever a runtime raises for this network; the next may do
            reply = ({"error": f"{type(error).__name__}: {error}"},)
        send(answers, *reply)


class _Server:
    """The loaded networks, and the answers to each message."""

    def __init__(self, runtime: str, precision: str, threads: int) -> None:
        self._version = find_runtime(runtime, precision).version()
        self._runtime, self._threads = runtime, threads
        self._cores = _pin(threads)
        self._priority = _raise_priority()
        self._sessions: dict[str, tuple[Session, float]] = {}  # with the fastest run of the warm-up, in ms

    def hello(self) -> Header:
        """What this is and where: constant while the process lives."""
        return {
            "version": self._version,
            "cores": self._cores,
            "priority": self._priority,
            "cpu": _host.cpu_model(self._cores[0] if self._cores else 0),
            "os": platform.platform(),
        }

    def answer(self, header: Header, parts: list[bytes]) -> tuple[Any, ...]:
        """The reply to {"load": key, ...}, {"spell": key, ...}, {"energy": key, ...} or {"ping": ...}."""
        if "load" in header:
            return self._load(header, *parts)
        if "spell" in header:
            session, fastest_ms = self._sessions[header["spell"]]
            gauge, _ = self._sessions[header["gauge"]]
            cores = tuple(self._cores) if self._cores else None
            spell = time_spell(session.run, gauge.run, TimingPlan(**header["plan"]), fastest_ms, cores)
            return ({"spell": spell.to_dict()},)
        if "energy" in header:
            from mnas.devices._energy import measure_energy, open_meter

            session, _ = self._sessions[header["energy"]]
            return ({"energy": dataclasses.asdict(measure_energy(session.run, open_meter(header["meter"])))},)
        return ({},)

    def _load(self, header: Header, model: bytes, images: bytes) -> tuple[Header, bytes]:
        inputs = np.split(np.frombuffer(images, np.float32).reshape(header["shape"]), header["shape"][0])
        self._sessions.pop(header["load"], None)  # the one before under this key: room for this one
        with Stopwatch() as watch:
            session = find_runtime(self._runtime, header["precision"]).load(model, inputs[0].copy(), self._threads)
        outputs = _outputs(session, inputs)
        runs, fastest_ms = warm_up(session.run, TimingPlan(**header["plan"]))
        self._sessions[header["load"]] = session, fastest_ms
        return {"load_seconds": watch.seconds, "warm_up_runs": runs, "shape": outputs.shape}, outputs.tobytes()


def _outputs(session: Session, inputs: list[Array]) -> Array:
    """What a network gives for each input, (inputs, classes); the first, which is timed, is then in its place."""
    found = []
    for images in reversed(inputs):
        session.feed(images)
        session.run()
        found.append(np.array(session.output(), np.float32))
    return np.concatenate(found[::-1])


def _pin(threads: int) -> list[int] | None:
    """Keeps this process on as many cores as threads; the ones it got, None where that cannot be done.

    Raises:
        ValueError: there are fewer cores than threads.
    """
    available = _host.available_cores()
    count = len(available) if available else os.cpu_count() or 1
    if threads > count:
        raise ValueError(f"threads should be at most the {count} cores that a process may use there, got {threads}")
    if available is None:
        return None
    try:
        os.sched_setaffinity(0, _host.pick_cores(available, threads))
    except OSError:
        return None
    return sorted(os.sched_getaffinity(0))


def _raise_priority() -> str:
    """Asks for real-time priority, so that nothing else gets the core in the middle of a run; what it got."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except (AttributeError, OSError):
        return "normal"
    return f"real-time {_PRIORITY}"


if __name__ == "__main__":
    main()
