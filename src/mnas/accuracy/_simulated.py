"""An accuracy that is a formula: for tests, dry runs and studies of controllers. It trains nothing."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from mnas.accuracy._contract import AccuracyEstimate
from mnas.space import Architecture, Layer

_SCALE = 24.0  # of the layers' gains; a network whose gains sum to it reaches 63 % of the best accuracy
_BEST = 0.95


@dataclass(frozen=True)
class SimulatedAccuracy:
    """Accuracy by a deterministic formula with diminishing returns of width, depth, SE, kernels and skips.

    `seconds` makes each estimate take that long, for trying out what happens while trainings run.
    """

    seconds: float = 0.0

    @property
    def task(self) -> str:
        """Named by the formula's version."""
        return "simulated formula 1"

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        """The formula's accuracy; the seed changes nothing."""
        time.sleep(self.seconds)
        gains = sum(map(_gain, architecture.layers))
        accuracy = _BEST * (1 - math.exp(-gains / _SCALE))
        return AccuracyEstimate(accuracy, (0.8 * accuracy, 0.95 * accuracy, accuracy), self.seconds)


def _gain(layer: Layer) -> float:
    op = {"conv": 0.75, "sepconv": 0.5, "sepconv_act": 0.5, "mbconv": 0.55 + 0.05 * layer.expand_ratio}[layer.op]
    kernel = 1.1 if layer.kernel >= 5 else 1.0
    se = 1.15 if layer.se_ratio else 1.0
    skip = {"none": 1.0, "pool": 1.03, "identity": 1.1}[layer.skip]
    return float(op * kernel * se * skip * layer.filters**0.25)
