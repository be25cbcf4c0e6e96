"""The gate: which spells may count, judged by the reference network beside them.

The reference network is timed before and after every spell. When it is slower than it has been at its best on this
device, what was timed in between is too, and no statistic of that spell alone can tell. As long as its best was
never seen on a quiet machine, it says nothing, and what else ran on the machine decides.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from mnas.devices._timing import Spell
from mnas.space import Architecture

# A1 at half width and 96 px: .6 ms on a desktop core, some thirty layers, no fewer kinds of operations than
# the networks that are measured.
REFERENCE = Architecture.parse(
    "input_r96_c3 stem_k3_s2_c16 ds_r1_k3_s1_c8_noskip ir_r2_k3_s2_e6_c16 ir_r3_k5_s2_e3_c24_se0.25 "
    "ir_r4_k3_s2_e6_c40 ir_r2_k3_s1_e6_c56_se0.25 ir_r3_k5_s2_e6_c80_se0.25 ir_r1_k3_s1_e6_c160 head_c640_n10"
)
EXCESS = 0.05  # how much slower than at its best the reference network may be, on the logarithm ...
_NOISE, _MOST = 4.0, 0.15  # ... or so many of its own standard deviations, where a runtime is less steady, up to this
_ENOUGH, _REMEMBERED = 8, 200  # quiet spells that tell these, and how many are remembered
_QUIET = 0.3  # share of the time that others may be at work on a machine that is called quiet
_BUSY = 0.5  # share from which a machine is called busy
_PREEMPTED = 0.05  # share that our own cores may be taken away on a quiet machine


@dataclass
class Gate:
    """What is known of the reference network on one device; it learns with every spell."""

    best_ms: float = math.inf
    quiet: list[float] = field(default_factory=list)  # logarithms of the reference network's times on a quiet machine
    allowed: float = EXCESS

    @property
    def is_trusted(self) -> bool:
        """Whether `best_ms` is no greater than on a quiet machine."""
        return bool(self.quiet)

    def _allowed(self) -> float:
        """How much slower than at its best the reference network may be, on the logarithm.

        Some runtimes differ by more from one process to the next than others do under load. What counts are
        deviations from the median, so that disturbances in less than half of the spells do not widen it.
        """
        if len(self.quiet) < _ENOUGH:
            return EXCESS
        middle = statistics.median(self.quiet)
        sd = 1.4826 * statistics.median(abs(value - middle) for value in self.quiet)
        return min(max(EXCESS, _NOISE * sd), _MOST)

    def learn(self, spell: Spell) -> Spell:
        """Remembers the spell's reference network; the spell."""
        self.best_ms = min(self.best_ms, *spell.gauge_ms)
        conditions = spell.conditions
        if (conditions.neighbours or 0.0) <= _QUIET and (conditions.waited or 0.0) <= _PREEMPTED:
            self.quiet = [*self.quiet, math.log(max(spell.gauge_ms))][-_REMEMBERED:]
            self.allowed = self._allowed()
        return spell

    def excess(self, spell: Spell) -> float:
        """How much slower than at its best the reference network was, on the logarithm."""
        return math.log(max(spell.gauge_ms) / self.best_ms)

    def disturbance(self, spell: Spell) -> float:
        """How much slower than on a quiet machine networks may have been in this spell, on the logarithm."""
        seen = spell.conditions
        unseen = 0.0 if self.is_trusted else math.log1p(max(seen.neighbours or 0.0, seen.waited or 0.0))
        return max(self.excess(spell), unseen)

    def problem(self, spell: Spell) -> str | None:
        """Why this spell must not count; None: it may."""
        excess = self.excess(spell)
        if excess > self.allowed:
            slower = f"the reference network ran {100 * math.expm1(excess):.0f} % slower than at its best"
            return "; ".join([slower, *(list(_signs(spell)) or ["its cause cannot be seen"])])
        seen = spell.conditions
        if not self.is_trusted and ((seen.neighbours or 0.0) > _BUSY or (seen.waited or 0.0) > _QUIET):
            return "; ".join(_signs(spell))
        return None


def _signs(spell: Spell) -> Iterator[str]:
    """What can be seen on the machine that makes networks slow."""
    seen = spell.conditions
    if (seen.waited or 0.0) > _PREEMPTED:
        yield f"other load: other processes had its core for {100 * (seen.waited or 0):.0f} % of the time"
    if (seen.neighbours or 0.0) > _QUIET:
        yield f"other load: cores beside it were busy for {100 * (seen.neighbours or 0):.0f} % of the time"
    if (seen.stolen or 0.0) > _PREEMPTED:
        yield f"other load: the hypervisor gave its core away for {100 * (seen.stolen or 0):.0f} % of the time"
    if seen.clock_mhz and abs(math.log(seen.clock_mhz[1] / seen.clock_mhz[0])) > EXCESS:
        yield f"clock change: from {seen.clock_mhz[0]:.0f} to {seen.clock_mhz[1]:.0f} MHz"
    if (seen.celsius or 0.0) >= 80:
        yield f"perhaps throttling: the machine is at {seen.celsius:.0f} degrees Celsius"
