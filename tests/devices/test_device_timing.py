"""The clock: what it makes of runs that are slow at first, disturbed, or never steady.

On a clock that the runs themselves move: on a real one these tests would fail on a busy machine.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from mnas.devices import _timing
from mnas.devices._timing import TimingPlan, time_spell, warm_up

PLAN = TimingPlan()


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


def spell(run, gauge=None, fastest_ms=0.2, plan=PLAN):
    return time_spell(run, gauge or run, plan, fastest_ms)


def test_disturbances_do_not_change_the_estimate(runs):
    """Half of the time everything takes five times as long."""
    timed = spell(runs(lambda i: 1.0 if i // 30 % 2 else 0.2))
    assert timed.latency_ms == pytest.approx(0.2)
    assert max(timed.samples_ms) == pytest.approx(1.0)


def test_slow_first_runs_are_warm_up(runs):
    count, fastest_ms = warm_up(runs(lambda i: 3.0 if i < 4 else 0.2), PLAN)
    assert count >= 4
    assert fastest_ms == pytest.approx(0.2)


def test_warming_up_goes_on_while_runs_get_faster(runs):
    """Twice the clock after a while, as a CPU's governor does it."""
    count, fastest_ms = warm_up(runs(lambda i: max(0.2, 0.4 - i / 1000)), PLAN)
    assert count >= 200
    assert fastest_ms == pytest.approx(0.2)


def test_warming_up_ends_even_if_runs_never_stop_getting_faster(runs):
    count, _ = warm_up(runs(lambda i: 10 * 0.98**i), PLAN)
    assert count * 10 < 10 * PLAN.max_warm_up_ms


def test_a_spell_is_as_long_as_planned_and_slow_networks_get_their_blocks_all_the_same(runs):
    assert sum(spell(runs(lambda i: 5.0), fastest_ms=5.0).samples_ms) == pytest.approx(PLAN.spell_ms)
    assert len(spell(runs(lambda i: 2000.0), fastest_ms=2000.0).samples_ms) == PLAN.min_blocks


def test_fast_networks_run_several_times_in_a_block_and_slow_ones_once(runs):
    assert spell(runs(lambda i: 0.05), fastest_ms=0.05).runs_per_block == 100
    assert spell(runs(lambda i: 15.0), fastest_ms=15.0).runs_per_block == 1


def test_the_reference_network_is_timed_before_and_after_and_the_caches_that_it_lost_do_not_count(runs):
    """Twice as slow after the spell, as when the clock fell in the middle; the first run each time is slow."""
    order: list[str] = []

    def network() -> None:
        order.append("network")
        runs(lambda i: 5.0)()

    first_runs = iter([9.0, *[1.0] * 15, 9.0, *[2.0] * 8])
    tick = runs(lambda i: next(first_runs))

    def gauge() -> None:
        order.append("gauge")
        tick()

    timed = spell(network, gauge, fastest_ms=5.0)
    assert timed.gauge_ms == (pytest.approx(1.0), pytest.approx(2.0))
    assert order[0] == order[-1] == "gauge"
    assert order.count("network") == len(timed.samples_ms)


def test_the_real_clock_tells_a_sleep():
    assert 2.0 <= spell(lambda: time.sleep(0.002), fastest_ms=2.0).latency_ms < 200


def test_the_garbage_collector_rests_during_the_runs_only(runs):
    states: list[bool] = []
    run = runs(lambda i: 5.0)
    spell(lambda: (states.append(gc.isenabled()), run()))
    assert not any(states)
    assert gc.isenabled()


def test_an_error_of_a_run_leaves_the_garbage_collector_on():
    with pytest.raises(ZeroDivisionError):
        spell(lambda: 1 / 0)
    assert gc.isenabled()
