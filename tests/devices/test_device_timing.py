"""The clock: what it makes of runs that are slow at first, disturbed, or never steady.

On a clock that the runs themselves move: on a real one these tests would fail on a busy machine.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from mnas.devices import _timing
from mnas.devices._timing import Timing, TimingPlan, time_runs


@pytest.fixture
def runs(monkeypatch) -> Callable[[Callable[[int], float]], Callable[[], None]]:
    """Makes a `run` of which each takes as many milliseconds as a function of its number says."""
    now_ns = [0]
    monkeypatch.setattr(_timing, "time", SimpleNamespace(perf_counter_ns=lambda: now_ns[0]))

    def make(duration_ms: Callable[[int], float]) -> Callable[[], None]:
        count = [0]

        def run() -> None:
            now_ns[0] += int(1e6 * duration_ms(count[0]))
            count[0] += 1

        return run

    return make


def test_disturbances_do_not_change_the_estimate(runs):
    """Half of the time everything takes five times as long."""
    timing = time_runs(runs(lambda i: 1.0 if i // 30 % 2 else 0.2))
    assert timing.latency_ms == pytest.approx(0.2)
    assert max(timing.samples_ms) == pytest.approx(1.0)


def test_slow_first_runs_are_warm_up(runs):
    timing = time_runs(runs(lambda i: 3.0 if i < 4 else 0.2))
    assert timing.warm_up_runs >= 4
    assert max(timing.samples_ms) == pytest.approx(0.2)


def test_warming_up_goes_on_while_runs_get_faster(runs):
    """Twice the clock after a while, as a CPU's governor does it."""
    timing = time_runs(runs(lambda i: max(0.2, 0.4 - i / 1000)))
    assert timing.warm_up_runs >= 200
    assert max(timing.samples_ms) == pytest.approx(0.2)


def test_warming_up_ends_even_if_runs_never_stop_getting_faster(runs):
    plan = TimingPlan()
    timing = time_runs(runs(lambda i: 10 * 0.98**i), plan)
    assert timing.warm_up_runs * 10 < 10 * plan.max_warm_up_ms


def test_timing_goes_on_until_the_fastest_blocks_agree(runs):
    plan = TimingPlan()
    calm = time_runs(runs(lambda i: 5.0), plan)
    assert len(calm.samples_ms) == plan.min_blocks
    assert calm.agreed
    wild = time_runs(runs(lambda i: 5.0 if i % 10 == 0 else 6.0), plan)
    assert len(wild.samples_ms) > 4 * plan.min_blocks
    assert wild.agreed


def test_what_never_agrees_ends_all_the_same_and_says_so(runs):
    plan = TimingPlan()
    timing = time_runs(runs(lambda i: 5.0 + i % 97), plan)
    assert not timing.agreed
    assert sum(timing.samples_ms) < 2 * plan.max_ms


def test_slow_networks_get_as_many_blocks_as_have_to_agree(runs):
    plan = TimingPlan()
    assert len(time_runs(runs(lambda i: 2000.0), plan).samples_ms) == plan.agreeing


def test_fast_networks_run_several_times_in_a_block_and_slow_ones_once(runs):
    assert time_runs(runs(lambda i: 0.05)).runs_per_block == 100
    assert time_runs(runs(lambda i: 15.0)).runs_per_block == 1


def test_the_real_clock_tells_a_sleep():
    plan = TimingPlan(min_blocks=10, max_ms=50)
    assert 2.0 <= time_runs(lambda: time.sleep(0.002), plan).latency_ms < 200


def test_the_garbage_collector_rests_during_the_runs_only(runs):
    states: list[bool] = []
    run = runs(lambda i: 5.0)
    time_runs(lambda: (states.append(gc.isenabled()), run()))
    assert not any(states)
    assert gc.isenabled()


def test_an_error_of_a_run_leaves_the_garbage_collector_on():
    with pytest.raises(ZeroDivisionError):
        time_runs(lambda: 1 / 0)
    assert gc.isenabled()


def test_scatter_grows_with_the_disagreement_of_the_blocks():
    calm = Timing((1.0, 1.1) * 14, 1, 1, True)
    even = dataclasses.replace(calm, samples_ms=(1.0,) * 28)
    wild = dataclasses.replace(calm, samples_ms=tuple(1 + 0.01 * i for i in range(28)))
    assert even.scatter == 0 < wild.scatter < calm.scatter
