"""Promises of the estimate: from a search's own first trials, asked once, and nothing of it is lost."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy
from mnas.budget import Budget, Spent
from mnas.config import parse_settings
from mnas.estimate import DeclinedError, Pace, estimate, first_trials
from mnas.folder import load_result, load_status
from mnas.plan import plan_from
from mnas.run import resume, run_plan, start
from mnas.space import Architecture, mnasnet_space
from mnas.testing import simulated_trial
from mnas.trial import TrialState

pytestmark = pytest.mark.usefixtures("no_report")

SPACE = mnasnet_space()
TRIAL = simulated_trial(SPACE, 0, (0,) * len(SPACE.choices))
SETTINGS = {
    "device": {"name": "simulated"}, "accuracy": {"name": "simulated"}, "final": {"top": 0}, "trials": 20,
    "controller": {"name": "random", "batch": 5}, "workers": 0, "budget": {"price_per_hour": 2.0},
}  # fmt: skip


def _trials(*train_seconds: float, measured: float = 0.0, **changes):
    return [
        replace(TRIAL, number=number, train_seconds=seconds, measure_seconds=measured, **changes)
        for number, seconds in enumerate(train_seconds)
    ]


def test_it_is_the_sum_of_what_was_and_what_is_left():
    first = _trials(30.0, 30.0, 30.0, measured=6.0)
    budget = Budget(price_per_hour=1.0, price_per_worker_hour=0.5, price_per_device_hour=10.0)
    spent = Spent(trials=3, hours=0.1, device_hours=0.005, accelerator_hours=0.025)
    found = estimate(first, 103, Pace(workers=2), budget, spent)
    assert found.hours.expected == pytest.approx(0.1 + 100 * (6 + 15) / 3600)
    assert found.hours.low == found.hours.high == found.hours.expected  # trials alike: nothing differs
    assert found.accelerator_hours.expected == pytest.approx(0.025 + 100 * 30 / 3600)
    assert found.device_hours.expected == pytest.approx(0.005 + 100 * 6 / 3600)
    worker_hours = 2 * found.hours.expected
    cost = found.hours.expected + 0.5 * worker_hours + 10 * found.device_hours.expected
    assert found.money.expected == pytest.approx(cost)


def test_queues_side_by_side_take_as_long_as_the_longer_one():
    first = _trials(30.0, 30.0, 30.0, measured=6.0)
    found = estimate(first, 103, Pace(workers=2, takes_turns=False), Budget(), Spent(trials=3))
    assert found.hours.expected == pytest.approx(100 * 15 / 3600)
    slow = estimate(first, 103, Pace(workers=20, takes_turns=False), Budget(), Spent(trials=3))
    assert slow.hours.expected == pytest.approx(100 * 6 / 3600)


def test_what_is_not_trained_counts_as_its_share():
    """Of four trials one is cached and one infeasible: half of those to come will be trained."""
    first = _trials(40.0, 40.0, 0.0, 0.0)
    first[2], first[3] = replace(first[2], cached=True), replace(first[3], state=TrialState.INFEASIBLE)
    found = estimate(first, 104, Pace(workers=1), Budget(), Spent(trials=4))
    assert found.hours.expected == pytest.approx(100 * 20 / 3600)
    assert (found.trained, found.train_seconds) == (2, 40.0)


def test_the_comparison_at_the_end_is_in_it():
    found = estimate(_trials(36.0, 36.0, 36.0), 3, Pace(workers=2, final_trainings=30), Budget(), Spent(3, hours=1))
    assert found.final_hours == pytest.approx(30 * 36 / 2 / 3600)
    assert found.hours.expected == pytest.approx(1 + found.final_hours)


def test_its_interval_holds_at_95_percent():
    """Log-normal times (coefficient of variation .5), 8 trials for 100: of 1,000 searches 2.5 to 10 % lie outside.

    The interval is of normal values. With a true rate of 7 % this fails once in ten thousand; the seed is fixed.
    """
    chance, outside = random.Random(0), 0
    for _ in range(1000):
        times = [chance.lognormvariate(0.0, 0.472) for _ in range(100)]
        found = estimate(_trials(*times[:8]), 100, Pace(workers=1), Budget(), Spent(trials=8))
        outside += not found.hours.low <= sum(times[8:]) / 3600 <= found.hours.high
    assert 25 <= outside <= 100


def test_it_waits_for_the_first_trials_by_number():
    """Those that finish first are the quick ones, and would tell of quick trials alone."""
    trials = dict.fromkeys((0, 1, 3, 4, 5, 6), TRIAL)
    assert first_trials(trials, 100, Pace(workers=6)) == []
    trials[2] = TRIAL
    assert len(first_trials(trials, 100, Pace(workers=6))) == 6
    assert len(first_trials(trials, 100, Pace(workers=1))) == 5
    assert len(first_trials(trials, 2, Pace(workers=4))) == 2


def test_a_search_that_is_agreed_to_is_the_search(simulate, essence, tmp_path):
    whole = simulate(out=tmp_path / "whole", controller={"name": "random", "batch": 5})
    asked = []
    settings = parse_settings(SETTINGS, "test")
    agreed = start(settings, tmp_path / "asked", lambda progress: None, lambda found: not asked.append(found))
    assert [essence(t) for t in agreed.trials] == [essence(t) for t in whole.trials]
    assert [(found.trials, found.total) for found in asked] == [(5, 20)]


def test_a_search_that_is_declined_stops_with_all_stored_and_resumes(simulate, essence, tmp_path):
    with pytest.raises(DeclinedError):
        start(parse_settings(SETTINGS, "test"), tmp_path / "run", lambda progress: None, lambda found: False)
    assert 5 <= len(load_result(tmp_path / "run").trials) < 20
    assert load_status(tmp_path / "run").state == "stopped"
    resumed = resume(tmp_path / "run", lambda progress: None)
    assert [essence(t) for t in resumed.trials] == [
        essence(t) for t in simulate(out=tmp_path / "whole", controller={"name": "random", "batch": 5}).trials
    ]


def test_what_a_person_takes_to_answer_is_not_spent(tmp_path):
    def later(found) -> bool:
        time.sleep(0.5)
        return True

    settings = parse_settings(SETTINGS, "test")
    slow = start(settings, tmp_path / "asked", lambda progress: None, later)
    quick = start(settings, tmp_path / "quick", lambda progress: None)
    assert slow.seconds < quick.seconds + 0.4


@pytest.mark.slow
def test_it_is_near_what_a_search_takes(tmp_path, simulate):
    class Slow:
        task = SimulatedAccuracy().task

        def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
            time.sleep(0.02 + 0.06 * (int(architecture.id, 16) % 100) / 100)
            return SimulatedAccuracy().estimate(architecture, seed)

    asked = []
    settings = parse_settings(SETTINGS | {"trials": 100, "controller": {"name": "random"}}, "test")
    plan = plan_from(settings, {"accuracy": Slow()})
    run_plan(plan, tmp_path / "run", lambda p: None, decide=lambda found: not asked.append(found))
    spent = load_status(tmp_path / "run").spent
    for name in ("hours", "accelerator_hours", "money"):
        found = getattr(asked[0], name)
        assert found.low <= getattr(spent, name) <= 1.2 * found.high, name
