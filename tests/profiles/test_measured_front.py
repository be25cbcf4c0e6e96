"""A search on a profile ends on the device itself."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from dataclasses import replace

import pytest

from mnas import registry
from mnas.devices import DeviceInfo, ProfileDevice, SimulatedDevice
from mnas.errors import DeviceError, MeasurementError, SettingsError
from mnas.folder import load_result
from mnas.run import resume

MNAS = [sys.executable, "-c", "from mnas.cli import main; main()"]


class Shelf(SimulatedDevice):
    """A simulated device that can be away, that refuses networks, and that remembers what it was asked."""

    asked: list[str]
    away_after: int
    refused: tuple[str, ...]
    fingerprint: str

    def info(self):
        return DeviceInfo("shelf", Shelf.fingerprint)

    def measure(self, architecture):
        if len(Shelf.asked) >= Shelf.away_after:
            raise DeviceError("it is not on the shelf")
        Shelf.asked.append(architecture.id)
        if architecture.id in Shelf.refused:
            raise MeasurementError("it does not fit")
        return replace(super().measure(architecture), device=Shelf.fingerprint)


@pytest.fixture(autouse=True)
def shelf(monkeypatch):
    Shelf.asked, Shelf.away_after, Shelf.refused, Shelf.fingerprint = [], 1000, (), "simulated formula 1"
    monkeypatch.setitem(sys.modules, "shelf", types.SimpleNamespace(Shelf=Shelf))
    monkeypatch.setitem(registry._BUILT_IN["device"], "shelf", "shelf:Shelf")
    monkeypatch.setattr("mnas.evaluator._DEVICE_WAITS", ())
    return Shelf


@pytest.fixture
def on_profile(simulate, profile_file, space):
    """A search on a profile of the shelf's device."""

    def run(factor=1.0, measure_on=True, **changes):
        file = str(profile_file(factor, device_settings={"name": "shelf"}))
        part = {"name": "profile", "file": file, "measure_on": measure_on}
        fixed = {
            "space": {
                "name": "blocks",
                "blocks": [{"filters": b.filters, "layers": b.layers, "stride": b.stride} for b in space.blocks],
                "choices": {"ops": ["conv", "sepconv", "mbconv3"], "se_ratios": [0, 0.25], "skips": ["identity"],
                            "filter_ratios": [1], "layer_deltas": [0, 1]},
                "resolution": 64, "classes": 10,
            }
        }  # fmt: skip
        return simulate(**{"device": part, **fixed, **changes})

    return run


def test_the_front_is_measured_and_nothing_else(on_profile, shelf):
    result = on_profile()
    assert sorted(shelf.asked) == sorted(trial.architecture.id for trial in result.front)
    for trial in result.front:
        measured = result.measured.latencies[trial.architecture.id]
        assert measured.latency_ms == SimulatedDevice().measure(trial.architecture).latency_ms
        assert trial.measurement.latency.statistic == "profile"
        assert result.measured.difference(trial) == measured.latency_ms / trial.latency_ms - 1
    assert not result.notes


def test_what_misses_a_hard_limit_leaves_the_front(on_profile, shelf):
    """A profile that promises 20 % less than is true."""
    free = on_profile(factor=0.8)
    limit = free.front[len(free.front) // 2].latency_ms * 1.01
    result = on_profile(factor=0.8, objective={"reward": "soft", "max_latency_ms": limit}, out=free.folder / "capped")
    assert result.measured.dropped
    assert result.front
    for trial in result.front:
        assert result.measured.latencies[trial.architecture.id].latency_ms <= limit
    fronts = {trial.architecture.id for trial in result.front}
    assert not fronts & result.measured.dropped.keys()
    assert result.best.architecture.id not in result.measured.dropped
    assert all("is above the cap" in why for why in result.measured.dropped.values())
    assert sum("was dropped from the front" in note for note in result.notes) == len(result.measured.dropped)


def test_what_cannot_be_measured_leaves_the_front(on_profile, shelf, tmp_path):
    shelf.refused = (on_profile().front[0].architecture.id,)
    shelf.asked.clear()
    # In another folder: what is stored is not measured again.
    result = on_profile(out=tmp_path / "other")
    assert result.measured.dropped == {shelf.refused[0]: "it cannot be measured: it does not fit"}


def test_a_device_that_is_away_loses_nothing_and_is_asked_again(on_profile, shelf, tmp_path):
    shelf.away_after = 2
    with pytest.raises(DeviceError, match=r"not on the shelf.*stored.*mnas resume .*run"):
        on_profile()
    assert len(load_result(tmp_path / "run").trials) == 20
    assert load_result(tmp_path / "run").measured is None
    shelf.away_after = 1000
    result = resume(tmp_path / "run", lambda progress: None)
    assert len(shelf.asked) == len(set(shelf.asked)) == len(result.front)


@pytest.mark.slow
def test_a_finished_run_measures_nothing_again_and_an_extended_one_what_is_new(on_profile, shelf, tmp_path):
    on_profile()
    before = list(shelf.asked)
    resume(tmp_path / "run", lambda progress: None)
    assert shelf.asked == before
    result = resume(tmp_path / "run", lambda progress: None, trials=60)
    assert len(shelf.asked) == len(set(shelf.asked))
    assert {trial.architecture.id for trial in result.front} <= set(shelf.asked)


def test_another_device_than_the_profiles_is_told(on_profile, shelf):
    shelf.fingerprint = "simulated formula 2"
    assert "measured on another device or version: simulated formula 2" in on_profile().notes[0]


def test_measure_on_names_another_device_or_none(on_profile, shelf, tmp_path):
    result = on_profile(measure_on={"name": "simulated"})
    assert result.measured.latencies
    assert not shelf.asked
    assert on_profile(measure_on=False, out=tmp_path / "other").measured is None


def test_a_device_to_measure_on_that_is_unknown_is_refused_before_the_search(on_profile, tmp_path):
    with pytest.raises(SettingsError, match="unknown device 'shelv': did you mean 'shelf'"):
        on_profile(measure_on={"name": "shelv"})
    assert not (tmp_path / "run").exists()


def test_report_and_command_line_show_predicted_beside_measured(on_profile, tmp_path):
    result = on_profile()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "predicted ms" in page
    assert "measured ms" in page
    assert result.measured.device in page
    table = subprocess.run([*MNAS, "front", tmp_path / "run"], capture_output=True, text=True, check=True).stdout
    assert "predicted" in table
    assert "difference" in table
    text = subprocess.run([*MNAS, "front", tmp_path / "run", "--json"], capture_output=True, text=True, check=True)
    for row in json.loads(text.stdout)["trials"]:
        latency = result.measured.latencies[row["id"]]
        assert (row["measured_ms"], row["dropped"]) == (latency.latency_ms, None)
        assert row["measured_ci_ms"] == [latency.low_ms, latency.high_ms]


def test_a_ready_profile_device_does_the_same(simulate, space, profile_file):
    device = ProfileDevice(str(profile_file()))
    result = simulate(space=space, device=device)
    assert result.measured.device == "simulated formula 1"
