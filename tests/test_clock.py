"""A wall clock that is set while a search runs changes when things were, and nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy
from mnas.executors import ThreadExecutor
from mnas.folder import load_status
from mnas.loop import Progress
from mnas.space import Architecture
from mnas.status import Status, read_status
from mnas.trial import TrialState

pytestmark = pytest.mark.usefixtures("no_report")
HOUR = 3600.0


class Clock:
    """The wall clock, which somebody sets an hour forth and back again as the search goes on."""

    def __init__(self) -> None:
        self._true, self.ahead = time.time, 0.0
        self.set: list[float] = []

    def time(self) -> float:
        return self._true() + self.ahead

    def watch(self, progress: Progress) -> None:
        self.ahead = (0.0, HOUR, -HOUR)[progress.counts.trials // 6 % 3]
        self.set.append(self.ahead)


@dataclass(frozen=True)
class Brief:
    """Simulated accuracy that takes a moment."""

    task = SimulatedAccuracy().task

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        time.sleep(0.02)
        return SimulatedAccuracy().estimate(architecture, seed)


def test_a_clock_that_is_set_an_hour_forth_and_back_changes_no_time_that_is_spent(simulate, tmp_path, monkeypatch):
    """Not the budget's, nor what trials took, nor what is left."""
    clock, seen = Clock(), list[Status]()
    monkeypatch.setattr("time.time", clock.time)
    monkeypatch.setattr("mnas.executors.InProcessExecutor", lambda limits: ThreadExecutor(2))
    monkeypatch.setattr("mnas.status._OFTEN", 0.0)

    def watch(progress: Progress) -> None:
        clock.watch(progress)
        assert progress.seconds_left is None or 0 <= progress.seconds_left < 600
        if (status := read_status(tmp_path / "run")) is not None:
            seen.append(status)

    began = time.monotonic()
    result = simulate(
        asynchronous=True, controller="evolution", accuracy=Brief(), trials=36, watch=watch,
        budget={"hours": 0.5, "accelerator_hours": 0.5, "price_per_worker_hour": 1.0},
    )  # fmt: skip
    took = time.monotonic() - began
    assert set(clock.set) == {0.0, HOUR, -HOUR}
    assert [trial.number for trial in result.trials] == list(range(36)), "no budget ended it"
    assert {trial.state for trial in result.trials} == {TrialState.COMPLETE}
    assert all(0 <= t.train_seconds <= took and 0 <= t.measure_seconds <= took for t in result.trials)
    assert 0 < result.seconds <= took
    spent = [status.spent for status in [*seen, load_status(tmp_path / "run")]]
    assert all(0 <= s.hours <= took / HOUR and 0 <= s.accelerator_hours <= 2 * took / HOUR for s in spent)
    assert [s.money for s in spent] == sorted(s.money for s in spent)
    last = load_status(tmp_path / "run")
    assert last.state == "finished"
    assert last.trials_per_hour is not None
    assert last.trials_per_hour >= 36 * HOUR / took * 0.5
