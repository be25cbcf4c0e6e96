"""From what one or several processes measured to an estimate with its interval at 95 %.

Latencies differ by factors rather than by amounts, so all of it is done on their logarithms.

Processes that run one after the other share their minute, so neither they nor a calibration can tell how
much minutes differ. That part is a constant here; docs/devices.md has the figures that it is from.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mnas.devices._timing import Timing

# 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


MINUTES_SD = 0.01  # relative standard deviation of a process's estimate from one minute to another
_NORMAL = 1.96


@dataclass(frozen=True)
class Drift:
    """How much processes differ, and from which network that is known."""

    relative_sd: float
    architecture: str | None = None  # that it was calibrated on; None where it was given, and is taken as exact
    process_latency_ms: tuple[float, ...] = ()

    @classmethod
    def calibrated(cls, architecture: str, timings: Sequence[Timing]) -> Drift:
        """From one network in several fresh processes."""
        estimates = tuple(timing.latency_ms for timing in timings)
        return cls(statistics.stdev(map(math.log, estimates)), architecture, estimates)

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

    @classmethod
    def over_processes(cls, timings: Sequence[Timing]) -> Interval:
        """Geometric mean of at least two fresh processes' estimates, its t-interval and the minutes' part."""
        estimates = [timing.latency_ms for timing in timings]
        sd = statistics.stdev(map(math.log, estimates))
        half = t_quantile(len(estimates) - 1) * sd / math.sqrt(len(estimates))
        origin = {"kind": "t-interval over processes", "relative_sd": sd}
        return cls._around(statistics.geometric_mean(estimates), half, origin)

    @classmethod
    def of_one_process(cls, timing: Timing, drift: Drift) -> Interval:
        """One process's estimate; its scatter, the drift between processes and the minutes' part make the width."""
        half = drift.factor * math.hypot(timing.scatter, drift.relative_sd)
        origin = {"kind": "drift term", **asdict(drift), "scatter": timing.scatter}
        origin["process_latency_ms"] = list(drift.process_latency_ms)
        return cls._around(timing.latency_ms, half, origin)

    @classmethod
    def _around(cls, estimate_ms: float, half: float, origin: dict[str, Any]) -> Interval:
        half = math.hypot(half, _NORMAL * MINUTES_SD)
        origin = {**origin, "minutes_sd": MINUTES_SD}
        return cls(estimate_ms, estimate_ms * math.exp(-half), estimate_ms * math.exp(half), origin)


def t_quantile(degrees: int) -> float:
    """The factor of a two-sided 95 % interval from a standard deviation with so many degrees of freedom."""
    return _T[degrees - 1] if degrees <= len(_T) else _NORMAL + 2.4 / degrees
