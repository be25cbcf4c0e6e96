"""Small devices in this process: units of a pool that are slow, noisy, that die or that come back."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace

from mnas.devices import DeviceInfo, SimulatedDevice
from mnas.errors import DeviceError, MeasurementError
from mnas.objective import Latency
from mnas.space import Architecture


@dataclass
class MadeUnit:
    """The simulated device under an address: `factor` times as slow, gone after `lives` measurements.

    With `comes_back` it is gone for one call only. `together` is passed by as many units as are measuring at once.
    """

    address: str
    factor: float = 1.0
    lives: int | None = None
    comes_back: bool = False
    noise: float = 0.0
    kind: str = "made"
    exclusive: bool = False
    refuses: str | None = None  # an architecture's id that it cannot measure
    together: threading.Barrier | None = None
    measured: list[str] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def info(self) -> DeviceInfo:
        if self.lives == -1:
            raise DeviceError(f"{self.address} does not answer")
        return DeviceInfo("made", f"{self.kind} board", {"address": self.address}, exclusive=self.exclusive)

    def measure(self, architecture: Architecture) -> Latency:
        if self.lives is not None:
            if self.lives <= 0:
                self.lives = None if self.comes_back else 0
                raise DeviceError(f"{self.address} is unplugged")
            self.lives -= 1
        if architecture.id == self.refuses:
            raise MeasurementError("the outputs are wrong")
        if self.together:
            self.together.wait(timeout=20)
        self.measured.append(architecture.id)
        latency = SimulatedDevice().measure(architecture)
        ms = latency.latency_ms * self.factor * (1 + self.noise * self._random.uniform(-1, 1))
        return replace(latency, latency_ms=ms, low_ms=ms, high_ms=ms, device=self.info().fingerprint)
