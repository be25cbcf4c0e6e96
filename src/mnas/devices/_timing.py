"""The clock: the only place in the package where a latency is timed.

The estimate is the minimum: the fastest run, of many short blocks of runs. A network does the same work in
every run, and whatever else happens on the machine only adds time. The table behind the choice is in
docs/devices.md: on a quiet machine minimum and median repeat about equally well, under changing load the
minimum repeats two to five times better. What the minimum cannot see is that a whole process, or a whole
minute, is slower than another; the interval (`_interval.py`) accounts for that.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

STATISTIC = "minimum"
_CLOCK_MS = 1e-4  # nothing is faster than the clock can tell
PROTOCOL = 1  # counts up when the same network on the same device would be given another latency


@dataclass(frozen=True)
class TimingPlan:
    """How long to time."""

    block_ms: float = 5.0  # short: a disturbance spoils few blocks, and some blocks fall between two of them
    min_blocks: int = 20
    max_ms: float = 1000.0  # of timed runs; the blocks are at least `agreeing` even so
    agreeing: int = 10  # it goes on until the so many fastest blocks ...
    agreement: float = 0.01  # ... lie within this of the fastest
    warm_up_ms: float = 20.0
    max_warm_up_ms: float = 200.0


@dataclass(frozen=True)
class Timing:
    """What one process measured of one network."""

    samples_ms: tuple[float, ...]  # per block, its fastest run
    runs_per_block: int
    warm_up_runs: int
    agreed: bool  # the fastest blocks agreed before the time was up

    @property
    def latency_ms(self) -> float:
        """The estimate."""
        return min(self.samples_ms)

    @property
    def scatter(self) -> float:
        """Relative standard error of the estimate within this process: how far the estimates of four
        interleaved quarters of the blocks lie apart."""
        quarters = [math.log(min(self.samples_ms[start::4])) for start in range(4)]
        mean = sum(quarters) / 4
        return math.sqrt(sum((q - mean) ** 2 for q in quarters) / 3 / 4)


def time_runs(run: Callable[[], object], plan: TimingPlan | None = None) -> Timing:
    """Times `run`: warm-up until steady, then short blocks until the fastest ones agree."""
    plan = plan or TimingPlan()
    collecting = gc.isenabled()
    gc.disable()
    try:
        warm_up_runs, fastest_ms = _warm_up(run, plan)
        runs_per_block = max(1, round(plan.block_ms / max(fastest_ms, _CLOCK_MS)))
        samples_ms = _timed_blocks(run, plan, runs_per_block)
    finally:
        if collecting:
            gc.enable()
    return Timing(tuple(samples_ms), runs_per_block, warm_up_runs, _agree(samples_ms, plan))


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


def _warm_up(run: Callable[[], object], plan: TimingPlan) -> tuple[int, float]:
    """How many runs it took until they no longer got faster (caches filled, clocks up), and the fastest, in ms.

    In rounds of twice as many runs each: steady when a round is no faster than the ones before it.
    """
    runs, fastest_ms, total_ms = 0, math.inf, 0.0
    while True:
        round_ms = [_time_once_ms(run) for _ in range(max(1, runs))]
        steady = min(round_ms) >= fastest_ms * (1 - plan.agreement)
        runs += len(round_ms)
        fastest_ms = min(fastest_ms, *round_ms)
        total_ms += sum(round_ms)
        if (steady and total_ms >= plan.warm_up_ms) or total_ms >= plan.max_warm_up_ms:
            return runs, fastest_ms


def _timed_blocks(run: Callable[[], object], plan: TimingPlan, runs_per_block: int) -> list[float]:
    samples_ms: list[float] = []
    total_ms = 0.0
    while not _enough(samples_ms, total_ms, plan):
        runs_ms = [_time_once_ms(run) for _ in range(runs_per_block)]
        samples_ms.append(min(runs_ms))
        total_ms += sum(runs_ms)
    return samples_ms


def _enough(samples_ms: Sequence[float], total_ms: float, plan: TimingPlan) -> bool:
    if total_ms >= plan.max_ms:
        return len(samples_ms) >= plan.agreeing
    return len(samples_ms) >= plan.min_blocks and _agree(samples_ms, plan)


def _agree(samples_ms: Sequence[float], plan: TimingPlan) -> bool:
    fastest = sorted(samples_ms)[: plan.agreeing]
    return len(fastest) == plan.agreeing and fastest[-1] <= fastest[0] * (1 + plan.agreement)


def _time_once_ms(run: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e6
