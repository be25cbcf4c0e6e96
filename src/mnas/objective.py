"""What a candidate measured, what it must not exceed, and what it is worth."""

from __future__ import annotations

import abc
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mnas.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Energy:
    """What one inference takes above the idle machine, in millijoules, with its interval [low, high] at 95 %."""

    millijoules: float
    low: float
    high: float
    meter: str  # what it was read from, such as "rapl package-0"
    environment: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall time of one input on one named device, by the measuring protocol's robust estimate.

    The interval [low_ms, high_ms] is at 95 % and includes what differs between processes. `energy` was measured
    beside it where that was asked for.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    statistic: str  # which estimate this is
    device: str  # the device's fingerprint
    samples_ms: tuple[float, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict, hash=False)
    energy: Energy | None = None

    @property
    def parts(self) -> dict[str, Latency]:
        """By name, the latency on each of several devices of which this is the worst; else empty."""
        return {name: Latency.from_dict(part) for name, part in self.environment.get("devices", {}).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Latency:
        """The inverse of `dataclasses.asdict`."""
        energy = data.get("energy")
        plain = {"samples_ms": tuple(data["samples_ms"]), "energy": Energy(**energy) if energy else None}
        # One string for thousands of latencies.
        names = {name: sys.intern(data[name]) for name in ("statistic", "device")}
        return cls(**{**data, **plain, **names})


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that is known of one candidate. Accuracy is a fraction; nothing stands without its device and task."""

    params: int
    madds: int
    weight_bytes: int
    latency: Latency | None = None
    accuracy: float | None = None
    task: str | None = None  # what the accuracy is of: data set, split, recipe
    peak_activation_bytes: int | None = None  # in float32; None in runs from before it was counted

    @property
    def latency_ms(self) -> float | None:
        """The latency's estimate, None before it is measured."""
        return self.latency.latency_ms if self.latency else None

    @property
    def energy(self) -> Energy | None:
        """Of one inference, None where it was not asked for."""
        return self.latency.energy if self.latency else None

    @property
    def file_bytes(self) -> int | None:
        """The file as converted for the device's runtime and precision, None where the device has none."""
        return self.latency.environment.get("model_bytes") if self.latency else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measurement:
        """The inverse of `to_dict`."""
        latency, task = data.get("latency"), data.get("task")
        shared = {"task": task and sys.intern(task)}
        return cls(**{**data, **shared, "latency": Latency.from_dict(latency) if latency else None})


@dataclass(frozen=True)
class Caps:
    """Hard limits. A candidate above one of them is INFEASIBLE and never trained.

    Without a given value there is no limit. `max_model_mb` is of the float32 weights with batch norm folded and
    `max_memory_mb` of the float32 activations, whatever the device computes in; `max_file_mb` is of the file as the
    device's runtime reads it. 1 MB = 10^6 bytes. Energy is of one inference.
    """

    max_latency_ms: float | None = None
    max_params: float | None = None
    max_madds: float | None = None
    max_model_mb: float | None = None
    max_memory_mb: float | None = None
    max_file_mb: float | None = None
    max_energy_mj: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not value > 0:
                raise SettingsError(f"{name} should be above zero, got {value}")

    def violations(self, measurement: Measurement) -> list[str]:
        """Each limit that is exceeded, in words; what is not measured yet exceeds nothing."""
        return [
            f"{limit.name} {value:{limit.form}}{limit.unit} is above the cap of {limit.cap:{limit.form}}{limit.unit}"
            for limit, value in self._limits(measurement)
            if value is not None and value > limit.cap
        ]

    def unmeasured(self, measurement: Measurement) -> list[str]:
        """The settings of limits on what this measurement, once it is complete but for accuracy, does not have."""
        return [limit.key for limit, value in self._limits(measurement) if value is None]

    def _limits(self, measurement: Measurement) -> list[tuple[_Limit, float | None]]:
        """The limits that are given, each with the measured value."""
        energy = measurement.energy
        values = (
            measurement.latency_ms,
            measurement.params,
            measurement.madds,
            measurement.weight_bytes / 1e6,
            _megabytes(measurement.peak_activation_bytes),
            _megabytes(measurement.file_bytes),
            energy.millijoules if energy else None,
        )
        caps = asdict(self).items()
        return [
            (_Limit(key, cap, *_WORDS[key]), value)
            for (key, cap), value in zip(caps, values, strict=True)
            if cap is not None
        ]


@dataclass(frozen=True)
class _Limit:
    """A given cap, and how it and what it is on are written."""

    key: str
    cap: float
    name: str
    form: str
    unit: str


_WORDS = {
    "max_latency_ms": ("latency", ",.6g", " ms"),
    "max_params": ("parameters", ",.0f", ""),
    "max_madds": ("MAdds", ",.0f", ""),
    "max_model_mb": ("model size", ",.6g", " MB"),
    "max_memory_mb": ("activation memory", ",.6g", " MB"),
    "max_file_mb": ("file size", ",.6g", " MB"),
    "max_energy_mj": ("energy", ",.6g", " mJ"),
}


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / 1e6


@dataclass(frozen=True)
class Objective(abc.ABC):
    """What a search maximizes under which caps. `reward` is pure."""

    target_ms: float
    caps: Caps = field(default_factory=Caps, kw_only=True)

    def __post_init__(self) -> None:
        if not self.target_ms > 0:
            raise SettingsError(f"target_ms should be above zero, got {self.target_ms}")

    @abc.abstractmethod
    def score(self, accuracy: float, latency_ms: float) -> float:
        """The reward of an accuracy (fraction) at a latency (ms)."""

    def reward(self, measurement: Measurement) -> float:
        """The reward of a candidate that was trained and measured."""
        if measurement.accuracy is None or measurement.latency_ms is None:
            raise ValueError("a reward needs accuracy and latency; see failure_reward for trials without")
        return self.score(measurement.accuracy, measurement.latency_ms)

    def failure_reward(self, measurement: Measurement) -> float:
        """What a FAILED or INFEASIBLE trial tells the controller: the reward of an accuracy of zero.

        At the candidate's latency where that was measured, at the target where not.
        """
        return self.score(0.0, measurement.latency_ms or self.target_ms)


@dataclass(frozen=True)
class WeightedProduct(Objective):
    """accuracy x (latency / target)^w, with w = alpha up to the target and beta above (Tan et al. 2019, Eq. 2-3).

    >>> WeightedProduct.soft(target_ms=80).score(0.5, latency_ms=160)
    0.4763...
    >>> WeightedProduct.hard(target_ms=80).score(0.5, latency_ms=160)
    0.25
    """

    alpha: float = -0.07
    beta: float = -0.07

    @classmethod
    def soft(cls, target_ms: float, caps: Caps | None = None) -> WeightedProduct:
        """The paper's default: doubling the latency is worth 5 % relative accuracy, on both sides of the target."""
        return cls(target_ms, alpha=-0.07, beta=-0.07, caps=caps or Caps())

    @classmethod
    def hard(cls, target_ms: float, caps: Caps | None = None) -> WeightedProduct:
        """Accuracy alone up to the target, a steep loss above it."""
        return cls(target_ms, alpha=0.0, beta=-1.0, caps=caps or Caps())

    def score(self, accuracy: float, latency_ms: float) -> float:
        """Eq. 2."""
        exponent = self.alpha if latency_ms <= self.target_ms else self.beta
        return float(accuracy * (latency_ms / self.target_ms) ** exponent)


@dataclass(frozen=True)
class AbsoluteReward(Objective):
    """accuracy + beta x |latency / target - 1| (Bender et al. 2020, TuNAS).

    Unlike the soft reward it pulls the search to the target: with alpha = beta, a target only rescales Eq. 2.
    """

    beta: float = -0.10

    def score(self, accuracy: float, latency_ms: float) -> float:
        """TuNAS' `abs` reward."""
        return accuracy + self.beta * abs(latency_ms / self.target_ms - 1)
