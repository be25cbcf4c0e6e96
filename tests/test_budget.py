"""Promises of budgets: what is spent is counted over all processes, and ends the search like `trials` does."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy
from mnas.budget import Budget, Ledger, Spent
from mnas.config import parse_settings
from mnas.errors import SettingsError
from mnas.folder import load_status, stored_settings
from mnas.run import resume
from mnas.space import Architecture, mnasnet_space
from mnas.storage import RunStorage
from mnas.testing import simulated_trial

pytestmark = pytest.mark.usefixtures("no_report")


class Slow:
    """Simulated accuracy that takes a moment."""

    task = SimulatedAccuracy().task

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        time.sleep(0.01)
        return SimulatedAccuracy().estimate(architecture, seed)


def test_a_spent_budget_ends_the_search_and_a_larger_one_goes_on(simulate, essence, tmp_path):
    whole = simulate(accuracy=Slow(), out=tmp_path / "whole", trials=40)
    hours = 0.1 / 3600  # ten trainings
    limit = {"accelerator_hours": hours}
    short = simulate(accuracy=Slow(), out=tmp_path / "short", trials=40, budget=limit)
    left = 40 - len(short.trials)
    assert 30 <= left < 40
    assert len(short.trials) % 5 == 0  # what is open is finished and stored: whole batches
    said = f"its budget of {hours:g} hours of training is spent; {left} of 40 trials were left"
    assert f"the search ended because {said}" in short.notes
    status = load_status(short.folder)
    assert (status.state, status.message) == ("finished", f"the search ended because {said}")
    assert status.spent.accelerator_hours >= hours == status.budget["accelerator_hours"]
    assert len(simulate(accuracy=Slow(), out=tmp_path / "short", trials=40, budget=limit).trials) == 40 - left
    longer = simulate(accuracy=Slow(), out=tmp_path / "short", trials=40, budget={"accelerator_hours": 1})
    assert [essence(t) for t in longer.trials] == [essence(t) for t in whole.trials]
    assert not any("ended because" in note for note in longer.notes)


def test_resume_changes_the_budget_and_keeps_the_rest_of_it(simulate):
    prices = {"price_per_hour": 1.5, "currency": "EUR"}
    first = simulate(trials=10, budget={"hours": 1.0, "money": 3.0, **prices})
    resume(first.folder, lambda progress: None, budget={"money": None, "hours": 2})
    budget = stored_settings(first.folder).budget
    assert (budget.hours, budget.money, budget.price_per_hour, budget.currency) == (2.0, None, 1.5, "EUR")


def _timed(number: int, measured: float, trained: float):
    space = mnasnet_space()
    trial = simulated_trial(space, number, (0,) * len(space.choices))
    return replace(trial, measure_seconds=measured, train_seconds=trained)


def test_every_kind_of_spending_is_counted(tmp_path):
    budget = Budget(price_per_hour=10.0, price_per_worker_hour=1.0, price_per_device_hour=100.0)
    trials = {}
    ledger = Ledger(budget, RunStorage.create(tmp_path, {}), trials, workers=8)
    trials |= {0: _timed(0, 36.0, 360.0), 2: _timed(2, 36.0, 0.0)}
    assert ledger.spent() == Spent(2, 0.0, 0.02, 0.1, pytest.approx(2.0))
    trials[1] = _timed(1, 0.0, 360.0)
    assert ledger.spent() == Spent(3, 0.0, 0.02, 0.2, pytest.approx(2.0))
    assert budget.cost(hours=1, worker_hours=8, device_hours=0.02) == pytest.approx(20.0)


def test_what_earlier_processes_spent_counts(tmp_path):
    storage = RunStorage.create(tmp_path, {})
    ledger = Ledger(Budget(price_per_worker_hour=1.0), storage, {}, workers=64)
    with ledger:
        time.sleep(0.05)
    before = ledger.spent()
    assert Ledger(ledger.budget, storage, {}, workers=1).spent() == before
    assert before.money == pytest.approx(64 * before.hours)


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        (Spent(hours=2.0), "its budget of 2 hours is spent"),
        (Spent(device_hours=3.5), "its budget of 3 hours of measuring is spent"),
        (Spent(accelerator_hours=4.0), "its budget of 4 hours of training is spent"),
        (Spent(money=5.1), "its budget of 5 EUR is spent"),
        (Spent(trials=9, hours=1.9, device_hours=2.9, accelerator_hours=3.9, money=4.9), ""),
    ],
)
def test_the_limit_that_is_reached_is_named(spent, said):
    budget = Budget(2, 3, 4, 5, price_per_hour=1.0, currency="EUR")
    assert budget.exhausted(spent) == said


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"hour": 3}, "unknown key in 'budget': 'hour': did you mean 'hours'?"),
        ({"hours": 0}, "greater than 0"),
        ({"price_per_hour": -1}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_budget_is_refused(table, said):
    with pytest.raises(SettingsError, match=said.replace("?", r"\?")):
        parse_settings({"budget": table}, "test")


def test_money_without_a_price_is_refused_before_anything_is_spent(simulate, counting_accuracy):
    with pytest.raises(SettingsError, match="money needs a price, by which it is spent: price_per_hour"):
        simulate(accuracy=counting_accuracy, budget={"money": 3.0})
    assert counting_accuracy.asked == []
