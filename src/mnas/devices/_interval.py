"""From spells to an estimate with its interval at 95 %.

Latencies differ by factors rather than by amounts, so all of it is done on their logarithms. From ten spells on, a
fifth is trimmed at either end: on machines that share a cache with others a few spells in a hundred take half as long
again or several times as long, and one of these moves a mean by more than the interval is wide.

The spells of one measurement share their minute, and those of one process its memory. What they cannot tell
is therefore added: what processes differ by (found out once per device, or several fresh processes are used), and
what minutes differ by, a constant. docs/devices.md has the figures behind both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


MINUTES_SD = 0.01  # relative standard deviation of an estimate from one minute to another
TRIMMED, _TRIMMED_FROM = 0.2, 10  # share of the spells left out at either end, from so many spells on
_NORMAL = 1.96


@dataclass(frozen=True)
class Drift:
    """How much processes differ, and from which network that is known."""

    relative_sd: float
    architecture: str | None = None  # that it was calibrated on; None where it was given, and is taken as exact
    process_latency_ms: tuple[float, ...] = ()

    @classmethod
    def calibrated(cls, architecture: str, spells_ms: Sequence[Sequence[float]]) -> Drift:
        """From one network: per process the latencies of its spells, as many each, taken in turn with the others'.

        What is left of the processes' variance when that of spells within a process is taken off it.
        """
        logs = [[math.log(value) for value in row] for row in spells_ms]
        means = [statistics.fmean(row) for row in logs]
        within = statistics.fmean(statistics.variance(row) for row in logs) / len(logs[0])
        sd = math.sqrt(max(0.0, statistics.variance(means) - within))
        return cls(sd, architecture, tuple(map(math.exp, means)))

    @property
    def factor(self) -> float:
        """What the standard deviation is multiplied by for 95 %."""
        return t_quantile(len(self.process_latency_ms) - 1) if self.process_latency_ms else _NORMAL


@dataclass(frozen=True)
class Interval:
    """An estimate, where it lies with 95 % confidence, and what that was concluded from."""

    estimate_ms: float
    low_ms: float
    high_ms: float
    origin: dict[str, Any]  # JSON values

    @property
    def half_width(self) -> float:
        """Relative."""
        return math.log(self.high_ms / self.low_ms) / 2

    @classmethod
    def over_processes(cls, spells_ms: Sequence[float], disturbance: float = 0.0) -> Interval:
        """From at least two spells, each in a fresh process: trimmed mean and t-interval, and the minutes' part.

        `disturbance` widens it by what the reference network was slower than at its best.
        """
        return cls._of(spells_ms, {"kind": "t-interval over processes"}, 0.0, disturbance)

    @classmethod
    def of_one_process(cls, spells_ms: Sequence[float], drift: Drift, disturbance: float = 0.0) -> Interval:
        """From at least two spells in one process: their t-interval, the processes' drift, the minutes' part."""
        described = asdict(drift) | {"process_latency_ms": list(drift.process_latency_ms)}
        described["drift_sd"] = described.pop("relative_sd")
        origin = {"kind": "t-interval over spells, drift between processes", **described}
        return cls._of(spells_ms, origin, drift.factor * drift.relative_sd, disturbance)

    @classmethod
    def _of(cls, spells_ms: Sequence[float], origin: dict[str, Any], drift: float, disturbance: float) -> Interval:
        middle, scatter = _trimmed([math.log(value) for value in spells_ms])
        half = math.hypot(scatter, drift, disturbance, _NORMAL * MINUTES_SD)
        estimate_ms = math.exp(middle)
        origin = {**origin, "scatter": scatter, "minutes_sd": MINUTES_SD, "disturbance": disturbance}
        return cls(estimate_ms, estimate_ms * math.exp(-half), estimate_ms * math.exp(half), origin)


def _trimmed(values: Sequence[float]) -> tuple[float, float]:
    """The trimmed mean and the half-width of its 95 % interval, from the winsorized variance (Yuen 1974)."""
    count = len(values)
    cut = int(TRIMMED * count) if count >= _TRIMMED_FROM else 0
    kept = sorted(values)[cut : count - cut]
    winsorized = [min(max(value, kept[0]), kept[-1]) for value in values]
    error = statistics.stdev(winsorized) * math.sqrt((count - 1) / (len(kept) * (len(kept) - 1)))
    return statistics.fmean(kept), t_quantile(len(kept) - 1) * error


def t_quantile(degrees: int) -> float:
    """The factor of a two-sided 95 % interval from a standard deviation with so many degrees of freedom."""
    return _T[degrees - 1] if degrees <= len(_T) else _NORMAL + 2.4 / degrees
