"""The clock: the only place in the package where a latency is timed.

What is timed at one go is a spell: a twentieth of a second of runs in short blocks, with the reference
network before and after. A spell's estimate is its fastest run. A network does the same work in every run,
and whatever else happens on the machine only adds time. The table behind the choice is in docs/devices.md:
on a quiet machine minimum and median repeat about equally well, under changing load the minimum repeats two to
five times better. What the minimum cannot see is that a whole spell is slower than another: the reference
network tells (`_gate.py`), and the interval is made of what spells differ by (`_interval.py`).
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mnas.devices._host import Conditions, watch

STATISTIC = "trimmed geometric mean over spells of the fastest run"
_CLOCK_MS = 1e-4  # nothing is faster than the clock can tell
PROTOCOL = 3  # counts up when the same network on the same device would be given another latency


@dataclass(frozen=True)
class TimingPlan:
    """How long to time."""

    block_ms: float = 5.0  # short: a disturbance spoils few blocks, and some blocks fall between two of them
    spell_ms: float = 50.0  # of timed runs; the blocks are at least `min_blocks` even so
    min_blocks: int = 10
    gauge_ms: float = 15.0  # of the reference network, before the spell and after it
    warm_up_ms: float = 20.0
    max_warm_up_ms: float = 200.0
    steady: float = 0.01  # warm-up ends when a round of runs is not faster by this


@dataclass(frozen=True)
class Spell:
    """What one go in one process measured of one network."""

    samples_ms: tuple[float, ...]  # per block, its fastest run
    runs_per_block: int
    gauge_ms: tuple[float, float]  # the reference network's fastest run before and after
    conditions: Conditions

    @property
    def latency_ms(self) -> float:
        """The estimate."""
        return min(self.samples_ms)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "samples_ms": list(self.samples_ms),
            "runs_per_block": self.runs_per_block,
            "gauge_ms": list(self.gauge_ms),
            "conditions": self.conditions.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Spell:
        """The inverse of `to_dict`."""
        before_ms, after_ms = data["gauge_ms"]
        conditions = Conditions.from_dict(data["conditions"])
        return cls(tuple(data["samples_ms"]), data["runs_per_block"], (before_ms, after_ms), conditions)


def warm_up(run: Callable[[], object], plan: TimingPlan) -> tuple[int, float]:
    """How many runs it took until they no longer got faster (caches filled, clocks up), and the fastest, in ms.

    In rounds of twice as many runs each: steady when a round is no faster than the ones before it.
    """
    runs, fastest_ms, total_ms = 0, math.inf, 0.0
    while True:
        round_ms = [_time_once_ms(run) for _ in range(max(1, runs))]
        steady = min(round_ms) >= fastest_ms * (1 - plan.steady)
        runs += len(round_ms)
        fastest_ms = min(fastest_ms, *round_ms)
        total_ms += sum(round_ms)
        if (steady and total_ms >= plan.warm_up_ms) or total_ms >= plan.max_warm_up_ms:
            return runs, fastest_ms


def time_spell(
    run: Callable[[], object],
    gauge: Callable[[], object],
    plan: TimingPlan,
    fastest_ms: float,
    cores: tuple[int, ...] | None = None,
) -> Spell:
    """Times `run`, of which the fastest run was known to take about `fastest_ms`, between two goes of `gauge`."""
    runs_per_block = max(1, round(plan.block_ms / max(fastest_ms, _CLOCK_MS)))
    with _no_garbage_collection(), watch(cores) as conditions:
        before_ms = _gauge_ms(gauge, plan)
        samples_ms = _timed_blocks(run, plan, runs_per_block)
        after_ms = _gauge_ms(gauge, plan)
    return Spell(tuple(samples_ms), runs_per_block, (before_ms, after_ms), conditions())


class Stopwatch:
    """Seconds spent in a `with` block: what converting and loading cost.

    with Stopwatch() as watch:
        network = build()
    watch.seconds                    # 0.012
    """

    seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start


def _timed_blocks(run: Callable[[], object], plan: TimingPlan, runs_per_block: int) -> list[float]:
    samples_ms: list[float] = []
    total_ms = 0.0
    while total_ms < plan.spell_ms or len(samples_ms) < plan.min_blocks:
        runs_ms = [_time_once_ms(run) for _ in range(runs_per_block)]
        samples_ms.append(min(runs_ms))
        total_ms += sum(runs_ms)
    return samples_ms


def _gauge_ms(gauge: Callable[[], object], plan: TimingPlan) -> float:
    gauge()  # the network before it has taken the caches
    fastest_ms, total_ms = math.inf, 0.0
    while total_ms < plan.gauge_ms:
        took_ms = _time_once_ms(gauge)
        fastest_ms = min(fastest_ms, took_ms)
        total_ms += took_ms
    return fastest_ms


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _time_once_ms(run: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    own_ms = run()
    wall_ms = (time.perf_counter_ns() - start) / 1e6
    return own_ms if isinstance(own_ms, float) else wall_ms  # a GPU's own clock leaves out Python's part
