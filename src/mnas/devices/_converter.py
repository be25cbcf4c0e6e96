"""Converter: architectures -> candidates, where needed in a process of its own.

Some converters print, write into the working directory, change torch's global state, take seconds to import and
may crash. `python -m mnas.devices._converter` keeps them away from the searching process.
"""

from __future__ import annotations

import os
import sys

import numpy as np

from mnas.devices._candidate import Candidate
from mnas.devices._child import Child
from mnas.devices._serving import die_with, messages, private_pipes
from mnas.devices._timing import Stopwatch
from mnas.devices._wire import receive, send
from mnas.devices.runtimes import Runtime, find_runtime
from mnas.errors import MeasurementError
from mnas.space import Architecture

_LIMIT_S = 600.0  # a large network in int8 takes a minute, and the machine may be busy


class Converter:
    """Converts for one runtime; the process, where there is one, stays for the next network."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._child: Child | None = None

    def convert(self, architecture: Architecture) -> Candidate:
        """The architecture with seeded weights, as the runtime's model.

        Raises:
            MeasurementError: the runtime cannot convert it, or the conversion crashed.
        """
        if not self.runtime.converts_apart:
            return Candidate.convert(architecture, self.runtime)
        with Stopwatch() as watch:
            if self._child is None or not self._child.answers():
                self.close()
                self._child = self._start()
            reply, parts = self._child.ask({"architecture": str(architecture)}, limit_s=_LIMIT_S)
        if "failed" in reply:
            raise MeasurementError(reply["failed"])
        expected = np.frombuffer(parts[1], np.float32).reshape(reply["shape"])
        return Candidate.remembered(architecture, parts[0], expected, watch.seconds, self.runtime.precision)

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _start(self) -> Child:
        command = [sys.executable, "-P", "-m", "mnas.devices._converter"]
        start = {"runtime": self.runtime.name, "precision": self.runtime.precision, "parent": os.getpid()}
        return Child("converter", command, start, {**os.environ, "OMP_NUM_THREADS": "1"})


def main() -> None:
    """Serves until the parent goes; each message is an architecture, each answer its model and torch's outputs."""
    requests, answers = private_pipes()
    settings, _ = receive(requests)
    die_with(settings["parent"])
    runtime = find_runtime(settings["runtime"], settings["precision"])
    send(answers, {"version": "", "cores": None, "priority": "", "cpu": "", "os": ""})
    for header, _ in messages(requests):
        if "architecture" not in header:  # a ping
            send(answers, {})
            continue
        try:
            candidate = Candidate.convert(Architecture.parse(header["architecture"]), runtime)
        except Exception as error:
            words = str(error) if isinstance(error, MeasurementError) else f"{type(error).__name__}: {error}"
            send(answers, {"failed": words})
            continue
        send(answers, {"shape": candidate.expected.shape}, candidate.model, candidate.expected.tobytes())


if __name__ == "__main__":
    main()
