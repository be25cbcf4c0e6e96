"""Promises of snapshots: a search goes on from the controller's stored state as from a replay, only quicker."""

from __future__ import annotations

import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy
from mnas.controllers import RegularizedEvolution
from mnas.errors import StorageError
from mnas.folder import load_result
from mnas.space import Architecture, mnasnet_space
from mnas.storage import RunStorage

pytestmark = pytest.mark.usefixtures("no_report")

EVOLUTION = {"name": "evolution", "batch": 5, "population": 10, "tournament": 3}
CONTROLLERS = [
    EVOLUTION,
    {"name": "random", "batch": 5},
    {"name": "local", "batch": 5},
    {"name": "nsga2", "batch": 5, "population": 10},
    {"name": "guided", "batch": 5, "initial": 5},
    {"name": "reinforce", "batch": 5},
    {"name": "ppo", "batch": 5},
]


class StopsAfter:
    """Simulated accuracy that is interrupted at the nth estimate, as by Ctrl-C."""

    task = SimulatedAccuracy().task

    def __init__(self, estimates: int) -> None:
        self.left = estimates

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return SimulatedAccuracy().estimate(architecture, seed)


@pytest.fixture
def every_tell(monkeypatch):
    """A snapshot after each tell, as where trials take long."""
    monkeypatch.setattr("mnas.snapshots._EVERY", 0.0)
    monkeypatch.setattr("mnas.snapshots._COST", 0.0)


@pytest.fixture
def tells(monkeypatch) -> list[int]:
    """How many trials the controller evolution is told, by tell."""
    counts: list[int] = []
    tell = RegularizedEvolution.tell

    def counted(self, trials):
        counts.append(len(trials))
        return tell(self, trials)

    monkeypatch.setattr(RegularizedEvolution, "tell", counted)
    return counts


QUICK = [(EVOLUTION, True)]
ALL = [pytest.param(part, flag, marks=pytest.mark.slow) for part in CONTROLLERS for flag in (False, True)]


@pytest.mark.parametrize(("controller", "asynchronous"), [*QUICK, *ALL])
def test_a_search_stopped_again_and_again_is_the_uninterrupted_one(
    simulate, essence, tmp_path, every_tell, controller, asynchronous
):
    part = {"controller": controller, "trials": 30, "asynchronous": asynchronous}
    whole = simulate(out=tmp_path / "whole", **part)
    for estimates in (3, 9, 1, 8):
        with pytest.raises(KeyboardInterrupt):
            simulate(out=tmp_path / "parts", accuracy=StopsAfter(estimates), **part)
    resumed = simulate(out=tmp_path / "parts", **part)
    assert [essence(t) for t in resumed.trials] == [essence(t) for t in whole.trials]


def test_what_a_snapshot_holds_is_not_told_again(simulate, tmp_path, tells):
    simulate(out=tmp_path / "run", controller=EVOLUTION, trials=20)
    assert tells == [5] * 4
    tells.clear()
    simulate(out=tmp_path / "run", controller=EVOLUTION, trials=30)
    assert tells == [5] * 2


def test_what_came_after_a_snapshot_is_replayed(simulate, essence, tmp_path, tells):
    """The first tell's snapshot stands for two entries of the journal; the next one is due only seconds later."""
    with pytest.raises(KeyboardInterrupt):
        simulate(out=tmp_path / "run", controller=EVOLUTION, accuracy=StopsAfter(13))
    with RunStorage.read(tmp_path / "run") as storage:
        position, _ = storage.snapshot()
    assert position == 2
    tells.clear()
    resumed = simulate(out=tmp_path / "run", controller=EVOLUTION)
    assert tells == [5] * 3
    whole = simulate(out=tmp_path / "whole", controller=EVOLUTION)
    assert [essence(t) for t in resumed.trials] == [essence(t) for t in whole.trials]


def _spoil(folder) -> None:
    with RunStorage.create(folder, _identity(folder)) as storage:
        _, content = storage.snapshot()
        content["state"] = {"random": "gone"}
        storage.set_snapshot(content)


def _identity(folder):
    with RunStorage.read(folder) as storage:
        return storage.meta("identity")


@pytest.mark.parametrize("why", ["other versions", "damaged"])
def test_where_no_snapshot_can_be_taken_up_all_is_replayed(simulate, essence, tmp_path, tells, monkeypatch, why):
    simulate(out=tmp_path / "run", controller=EVOLUTION, trials=20)
    if why == "damaged":
        _spoil(tmp_path / "run")
    else:
        monkeypatch.setattr("mnas.snapshots._version", lambda name: "0.9")
    tells.clear()
    resumed = simulate(out=tmp_path / "run", controller=EVOLUTION, trials=30)
    assert tells == [5] * 6
    whole = simulate(out=tmp_path / "whole", controller=EVOLUTION, trials=30)
    assert [essence(t) for t in resumed.trials] == [essence(t) for t in whole.trials]


def test_a_run_from_before_there_were_snapshots_goes_on(simulate, tmp_path, tells):
    simulate(out=tmp_path / "run", controller=EVOLUTION, trials=20)
    with RunStorage.create(tmp_path / "run", _identity(tmp_path / "run")) as storage:
        storage._connection.execute("DROP TABLE snapshot")
    assert len(simulate(out=tmp_path / "run", controller=EVOLUTION, trials=30).trials) == 30
    assert len(load_result(tmp_path / "run").trials) == 30


def test_an_object_is_replayed_for_only_that_tells_whether_it_is_the_same(simulate, tmp_path):
    def evolution(seed: int) -> RegularizedEvolution:
        return RegularizedEvolution(mnasnet_space(), seed, batch=5, population=10, tournament=3)

    simulate(out=tmp_path / "run", controller=evolution(0), trials=20)
    assert len(simulate(out=tmp_path / "run", controller=evolution(0), trials=30).trials) == 30
    with pytest.raises(StorageError, match="does not replay: at trial 0"):
        simulate(out=tmp_path / "run", controller=evolution(1), trials=40)
