"""The two-method contract of everything that tells an architecture's latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mnas.objective import Latency
from mnas.space import Architecture


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


def measure_together(device: Device, architectures: Sequence[Architecture], processes: int) -> list[Latency]:
    """Latencies to be compared with each other, as well as the device can: in fresh processes, where it has any.

    Raises:
        MeasurementError, DeviceError: as `Device.measure`.
    """
    together = getattr(device, "measure_together", None)
    return together(architectures, processes) if together else [device.measure(each) for each in architectures]
