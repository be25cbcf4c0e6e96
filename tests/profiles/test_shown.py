"""What is shown of a search on a profile: milliseconds by block, and the front as the device measured it."""

from __future__ import annotations

import pytest

from mnas.devices import SimulatedDevice
from mnas.folder import load_result
from mnas.profiles import Profile
from mnas.space import BlockSpace
from mnas.views import RunView


@pytest.fixture
def result(simulate, profile_file, profile: Profile, space: BlockSpace, no_report):
    device = {"name": "profile", "file": str(profile_file(factor=0.8)), "measure_on": {"name": "simulated"}}
    free = simulate(space=space, device=device, trials=20, controller="random")
    limit = free.front[-1].latency_ms * 1.1
    capped = {"reward": "soft", "max_latency_ms": limit}
    out = free.folder.with_name("capped")
    return simulate(space=space, device=device, trials=20, controller="random", objective=capped, out=out)


def test_the_blocks_of_a_network_have_their_milliseconds(result, profile_file):
    network = RunView(result.folder).network(2)
    assert network.network_ms + sum(row.ms for row in network.rows) == pytest.approx(network.latency_ms)
    profile_file(factor=0.9)  # in place of the one that the search went by
    other = RunView(result.folder).network(2)
    assert other.network_ms is None
    assert {row.ms for row in other.rows} == {None}


def test_the_measured_front_is_beside_the_predicted_one(result):
    view = RunView(result.folder)
    told, table = view.description(), view.trials()
    assert table.front == [trial.number for trial in load_result(result.folder).front]
    assert table.best == result.best.number
    rows = {row.trial: row for row in told.measured.rows}
    assert {number for number, row in rows.items() if row.dropped is None} == set(table.front)
    assert {row.dropped for row in rows.values()} - {None} == set(result.measured.dropped.values())
    for trial in result.front:
        row = rows[trial.number]
        assert row.measured_ms == SimulatedDevice().measure(trial.architecture).latency_ms
        assert row.difference == result.measured.difference(trial)
    assert told.notes == list(result.notes)
