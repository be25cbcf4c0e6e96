"""The two-method contract of everything that tells an architecture's latency, and of what can time files too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from mnas.objective import Latency
from mnas.space import Architecture

if TYPE_CHECKING:
    from mnas.devices.runtimes import Array, Precision


@dataclass(frozen=True)
class DeviceInfo:
    """Which device this is. Latencies are comparable when their fingerprints are equal."""

    name: str  # "cpu", "simulated", ...
    fingerprint: str  # what must be equal for latencies to be comparable: hardware, runtime, version, threads
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)  # for people and for run.toml
    exclusive: bool = False  # it is this machine: while it measures, nothing else may run here
    slots: int = 1  # how many threads may measure at once; one where it is exclusive
    notes: tuple[str, ...] = ()  # what the reader of a result should know, such as units that were set aside


class Device(Protocol):
    """Measures latencies.

        device = LocalDevice(runtime="onnxruntime", threads=1)
        device.info().fingerprint            # "cpu onnxruntime 1.32.0 fp32 threads=1 AMD EPYC ..."
        device.measure(architecture)         # Latency(latency_ms=0.41, low_ms=0.40, high_ms=0.42, ...)

    Raises MeasurementError where this one architecture cannot be measured (the trial is FAILED, the search
    goes on) and DeviceError where the device itself is gone (the search retries, then stops).
    """

    def info(self) -> DeviceInfo:
        """Which device this is."""
        ...

    def measure(self, architecture: Architecture) -> Latency:
        """The latency of one input."""
        ...


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A network as a file of a runtime's, with some inputs and what it gave for them where it was checked."""

    architecture: Architecture
    data: bytes
    precision: Precision  # of its arithmetic
    images: Array  # normalized, (inputs, channels, resolution, resolution); the first is timed
    outputs: Sequence[Sequence[Array]]  # of each input, in the file's order


class MeasuresFiles(Protocol):
    """A device that times not only architectures but the very file that is shipped. It is closed by `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def measure_file(self, file: ModelFile) -> Latency:
        """The latency of one input; the outputs must be those of the file.

        Raises:
            MeasurementError: the file does not run there, its outputs are others, or it is in another precision
                than the device's.
            DeviceError: the device is gone, or too busy.
        """
        ...


def measure_together(device: Device, architectures: Sequence[Architecture], processes: int) -> list[Latency]:
    """Latencies to be compared with each other, as well as the device can: in fresh processes, where it has any.

    Raises:
        MeasurementError, DeviceError: as `Device.measure`.
    """
    together = getattr(device, "measure_together", None)
    return together(architectures, processes) if together else [device.measure(each) for each in architectures]
