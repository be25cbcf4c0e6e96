"""ProcessDevice: what devices have in common that measure in timing processes, here or on a board."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from mnas.devices._contract import DeviceInfo, ModelFile
from mnas.devices._measuring import Measuring
from mnas.objective import Latency
from mnas.space import Architecture


class ProcessDevice:
    """A device whose latencies `measuring` makes; what it measures with is up to the class that is made of it."""

    def __init__(self, measuring: Measuring) -> None:
        self.measuring = measuring

    def info(self) -> DeviceInfo:
        """The CPU, the runtime with its version, the precision and the number of threads.

        Raises:
            DeviceError: no timing process can be started, or the board cannot be reached.
        """
        return self.measuring.info()

    def measure(self, architecture: Architecture) -> Latency:
        """The latency of one input, with its interval at 95 %, every sample and the circumstances.

        Raises:
            MeasurementError: the network does not run, its outputs are wrong, it takes longer than `limit_s`
                or its process dies.
            DeviceError: no timing process can be started, the board is gone or its disk is full, or the machine
                stays too busy to measure on.
        """
        return self.measuring.measure(architecture)

    def measure_file(self, file: ModelFile) -> Latency:
        """The latency of a file of this device's runtime and precision, as `mnas export` writes them.

        Raises:
            MeasurementError, DeviceError: as `measure`; the file is in another precision.
        """
        return self.measuring.measure_file(file)

    def measure_together(self, architectures: Sequence[Architecture], processes: int) -> list[Latency]:
        """Latencies that are to be compared: each network in at least so many fresh processes, round after round.

        What drifts over minutes so meets all of them alike.

        Raises:
            MeasurementError, DeviceError: as `measure`.
        """
        return self.measuring.measure_together(architectures, processes)

    def try_out(self, architecture: Architecture) -> None:
        """Converts it, runs it once in the timing process and compares the outputs, without timing.

        Raises:
            MeasurementError, DeviceError: as `measure`.
        """
        self.measuring.try_out(architecture)

    def close(self) -> None:
        """Ends the timing process, if there is one. The next measurement starts another."""
        self.measuring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
