"""Intervals: the quantiles, and how often they contain what they should."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from scipy import stats

from mnas.devices._interval import MINUTES_SD, Drift, Interval, t_quantile


@pytest.mark.parametrize("degrees", [*range(1, 31), 31, 50, 200, 10_000])
def test_quantiles_are_students(degrees):
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=2e-3)


def coverage(interval_of, true_ms: float, draws: int = 2000) -> float:
    generator = random.Random(0)
    inside = 0
    for _ in range(draws):
        interval = interval_of(generator)
        assert interval.low_ms < interval.estimate_ms < interval.high_ms
        inside += interval.low_ms <= true_ms <= interval.high_ms
    return inside / draws


def test_intervals_over_processes_contain_the_mean_in_95_of_100():
    """2,000 measurements by five processes that differ by 5 %, in minutes that differ by 1 %: the share's
    standard error is .5 %. The seed is fixed, so there is no false alarm; another has one in 10^4."""

    def draw(generator: random.Random) -> Interval:
        minute = generator.gauss(0, MINUTES_SD)
        return Interval.over_processes([math.exp(minute + generator.gauss(0, 0.05)) for _ in range(5)])

    assert coverage(draw, 1.0) == pytest.approx(0.95, abs=0.02)


def test_a_burst_in_a_few_of_many_spells_moves_nothing():
    """Two of twenty spells at twice the latency, and ones within .1 %: the others decide."""
    calm = [1 + 0.001 * math.sin(number) for number in range(18)]
    disturbed = Interval.over_processes([*calm, 2.0, 2.1])
    assert disturbed.estimate_ms == pytest.approx(1.0, abs=0.001)
    assert disturbed.half_width < 0.03


def test_the_trimmed_mean_is_scipys():
    generator = random.Random(0)
    spells = [math.exp(generator.gauss(0, 0.05)) for _ in range(20)]
    middle = stats.trim_mean([math.log(value) for value in spells], 0.2)
    found = Interval.over_processes(spells)
    assert math.log(found.estimate_ms) == pytest.approx(middle)
    low, high = stats.mstats.trimmed_mean_ci([math.log(value) for value in spells], limits=(0.2, 0.2))
    assert found.origin["scatter"] == pytest.approx((high - low) / 2, rel=0.02)


def test_intervals_by_a_calibrated_drift_contain_the_mean_in_95_of_100():
    """As above, with four spells of one process that differ by 1 %, in minutes that do, and processes that differ by
    5 %, of which a calibration with four spells in each of four processes knows."""

    def spells(generator: random.Random, minute: float) -> list[float]:
        process = minute + generator.gauss(0, 0.05)
        return [math.exp(process + generator.gauss(0, 0.01)) for _ in range(4)]

    def draw(generator: random.Random) -> Interval:
        drift = Drift.calibrated("net", [spells(generator, 0.0) for _ in range(4)])
        return Interval.of_one_process(spells(generator, generator.gauss(0, MINUTES_SD)), drift)

    assert coverage(draw, 1.0) == pytest.approx(0.95, abs=0.02)


def test_a_calibration_tells_processes_from_spells():
    """Spells that differ by 2 % in processes that do not differ at all are no drift between processes."""
    generator = random.Random(0)
    draws = [
        Drift.calibrated("net", [[math.exp(generator.gauss(0, 0.02)) for _ in range(4)] for _ in range(4)])
        for _ in range(200)
    ]
    assert sum(drift.relative_sd == 0 for drift in draws) > 60
    assert statistics.median(drift.relative_sd for drift in draws) < 0.01


def test_a_drift_that_is_given_counts_as_exact():
    interval = Interval.of_one_process([2.0, 2.0], Drift(0.05))
    assert interval.estimate_ms == pytest.approx(2.0)
    assert interval.high_ms / 2.0 == pytest.approx(math.exp(1.96 * math.hypot(0.05, MINUTES_SD)))
    assert interval.half_width == pytest.approx(1.96 * math.hypot(0.05, MINUTES_SD))


def test_a_disturbance_makes_it_at_least_as_wide():
    assert Interval.over_processes([2.0, 2.0], disturbance=0.3).half_width >= 0.3


def test_bounds_stay_above_zero_however_much_two_processes_differ():
    interval = Interval.over_processes([1.0, 100.0])
    assert 0 < interval.low_ms < interval.estimate_ms == pytest.approx(10.0)
