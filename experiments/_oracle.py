"""What the experiments search: the ImageNet surrogate for accuracy and a device's for latency."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.accuracy import SurrogateAccuracy
from mnas.devices import SurrogateDevice
from mnas.errors import StopError
from mnas.objective import AbsoluteReward, Objective, WeightedProduct
from mnas.pareto import front_indices, hypervolume
from mnas.space import Architecture, Tokens, accel_nasbench_space
from mnas.surrogates import load_surrogate

SPACE = accel_nasbench_space()
OPTIMA = Path(__file__).parents[1] / "benchmarks" / "results" / "sample_efficiency_optima.json"
WORST_ACCURACY = 0.5  # of the hypervolume's reference, as in docs/sample_efficiency.md
SAMPLE = 100_000  # random networks whose latencies give targets and the reference's latency

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Oracle:
    """Accuracy by the surrogate `mlp` and latency of a device, of every network of the space.

    oracle = Oracle("zcu102")
    accuracies, latencies = oracle(architectures)       # fractions and ms
    oracle.second_opinion(architectures)                # accuracies by the surrogate `trees`
    """

    device: str

    def __call__(self, architectures: Iterable[Architecture]) -> tuple[Floats, Floats]:
        """Accuracies (fractions) and latencies (ms)."""
        networks = list(architectures)
        return SurrogateAccuracy("mlp").predict(networks)[0], self._device.predict(networks)[0]

    def second_opinion(self, architectures: Iterable[Architecture]) -> Floats:
        """Accuracies (fractions) by the boosted trees."""
        return SurrogateAccuracy("trees").predict(architectures)[0]

    def percentile_ms(self, percent: float) -> float:
        """The latency below which so many per cent of the space's networks lie."""
        return float(np.percentile(_latencies(self.device), percent))

    @property
    def target_ms(self) -> float:
        """The median latency of the space."""
        return self.percentile_ms(50)

    @property
    def reference(self) -> tuple[float, float]:
        """Latency and accuracy that bound the hypervolume."""
        return self.percentile_ms(99), WORST_ACCURACY

    def hypervolume(self, latencies: Any, accuracies: Any) -> float:
        """Of some networks, as a part of that of the best known front."""
        points = list(zip(latencies, accuracies, strict=True))
        whole: float = self.best_known["front"]["hypervolume"]
        return hypervolume(points, self.reference) / whole

    def front_accuracy(self, latencies: Any) -> Floats:
        """The best known accuracy at some latencies, between 60 networks of the best known front.

        Beyond the last of them, where more latency helps no longer, its accuracy.
        """
        known = [(latency, accuracy) for latency, accuracy, _ in self.best_known["front"]["some"]]
        return np.asarray(np.interp(np.log(latencies), *_columns([(math.log(ms), acc) for ms, acc in known])))

    @cached_property
    def best_known(self) -> dict[str, Any]:
        """What the sample-efficiency benchmark climbed to: an optimum per reward, and the front.

        Raises:
            StopError: the file is of other fits.
        """
        found: dict[str, Any] = json.loads(OPTIMA.read_text(encoding="utf-8"))[f"{self.device} mlp"]
        ours = ", ".join(f"{name} {load_surrogate(name).version}" for name in ("accuracy-mlp", self.device))
        if found["surrogates"] != ours:
            raise StopError(
                f"{OPTIMA.name} is of {found['surrogates']}, this mnas has {ours}: "
                "run benchmarks/sample_efficiency.py again first"
            )
        return found

    @cached_property
    def _device(self) -> SurrogateDevice:
        return SurrogateDevice(self.device)


def objective(reward: str, target_ms: float) -> Objective:
    """The objective of that name: "soft", "hard", "accuracy" (alone) or "absolute -0.1" with TuNAS' beta.

    >>> objective("absolute -0.1", 5.0)
    AbsoluteReward(target_ms=5.0, caps=..., beta=-0.1)
    """
    name, _, beta = reward.partition(" ")
    if name == "absolute":
        return AbsoluteReward(target_ms, float(beta))
    alpha, beta_above = {"soft": (-0.07, -0.07), "hard": (0.0, -1.0), "accuracy": (0.0, 0.0)}[name]
    return WeightedProduct(target_ms, alpha, beta_above)


def front_of(latencies: Any, accuracies: Any) -> list[tuple[float, float]]:
    """The (latency, accuracy) points that no other dominates, by rising latency."""
    points = [(float(ms), float(accuracy)) for ms, accuracy in zip(latencies, accuracies, strict=True)]
    return [points[index] for index in front_indices(points)]


def word(tokens: Sequence[int]) -> str:
    """Tokens as digits, for a file."""
    return "".join(map(str, tokens))


def from_word(digits: str) -> Tokens:
    """The inverse of `word`."""
    return tuple(map(int, digits))


@cache
def _latencies(device: str) -> Floats:
    generator = np.random.default_rng(0)
    columns = [generator.integers(0, len(choice.options), SAMPLE) for choice in SPACE.choices]
    return SurrogateDevice(device).predict_tokens(np.stack(columns, axis=1).astype(np.uint8))[0]


def _columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [first for first, _ in pairs], [second for _, second in pairs]
