"""Making profiles: what is spent, what is refused, what is said of the error."""

from __future__ import annotations

import pytest

from mnas.devices import DeviceInfo, LocalDevice, SimulatedDevice
from mnas.errors import DeviceError, MeasurementError, SettingsError, StopError
from mnas.profiles import layer_shapes
from mnas.profiling import make_profile
from mnas.space import Architecture


class Fickle(SimulatedDevice):
    """Counts what it is asked, and fails on what it is told to."""

    def __init__(self, fails=lambda architecture, count: None):
        self.asked: list[Architecture] = []
        self.fails = fails

    def measure(self, architecture):
        self.asked.append(architecture)
        if (error := self.fails(architecture, len(self.asked))) is not None:
            raise error
        return super().measure(architecture)


@pytest.mark.slow
def test_it_keeps_to_the_number_of_measurements(space):
    device = Fickle()
    profile = make_profile(device, space, most=50)
    assert len(device.asked) == sum(profile.measured["measurements"].values()) == 50


@pytest.mark.slow
def test_it_keeps_to_the_time(space):
    profile = make_profile(Fickle(), space, minutes=0.05, most=100_000)
    assert profile.measured["seconds"] < 40  # 3 s of measuring, and the fits on a busy machine


@pytest.mark.slow
def test_the_same_seed_measures_the_same_layers_first(space):
    devices = [Fickle(), Fickle()]
    for device in devices:
        make_profile(device, space, most=40, seed=3)
    firsts = [{a.id for a in device.asked[:3]} for device in devices]
    assert firsts[0] == firsts[1]


@pytest.mark.slow
def test_networks_of_the_check_are_not_learnt_from(space):
    """A device on which they are ten times slower: the error says so, and the fit does not follow."""
    first = make_profile(Fickle(), space, most=50)
    checked = {check.architecture for check in first.checks}

    class Slow(Fickle):
        def measure(self, architecture):
            latency = super().measure(architecture)
            factor = 10.0 if str(architecture) in checked else 1.0
            values = {key: getattr(latency, key) * factor for key in ("latency_ms", "low_ms", "high_ms")}
            return type(latency)(**values, statistic="formula", device=latency.device)

    again = make_profile(Slow(), space, most=50)
    assert {check.architecture for check in again.checks} & checked
    assert again.error.mean > 0.5
    assert again.predict([Architecture.parse(c.architecture) for c in first.checks]) == pytest.approx(
        [check.measured_ms for check in first.checks], rel=0.3
    )


def test_what_cannot_be_measured_is_left_out_and_told(space):
    def fails(architecture, count):
        alone = len(layer_shapes(architecture)) == 3
        return MeasurementError("no conv") if alone and "cn_" in str(architecture) else None

    profile = make_profile(Fickle(fails), space, most=60)
    assert profile.measured["refused"]
    assert "no conv" in profile.measured["refused"][0]


def test_a_device_that_can_do_nothing_stops_it(space):
    with pytest.raises(StopError, match=r"measurements failed, the last: .*it is broken"):
        make_profile(Fickle(lambda architecture, count: MeasurementError("it is broken")), space, most=60)


@pytest.mark.slow
def test_a_device_that_comes_back_costs_nothing_but_waiting(space, monkeypatch):
    monkeypatch.setattr("mnas.profiling._session._WAITS", (0.0, 0.0))
    device = Fickle(lambda architecture, count: DeviceError("cable") if count in (7, 8) else None)
    profile = make_profile(device, space, most=40)
    assert sum(profile.measured["measurements"].values()) == 40
    assert not profile.measured["refused"]


def test_a_device_that_stays_away_ends_it(space, monkeypatch):
    monkeypatch.setattr("mnas.profiling._session._WAITS", (0.0, 0.0))
    with pytest.raises(DeviceError, match="cable"):
        make_profile(Fickle(lambda architecture, count: DeviceError("cable") if count > 6 else None), space, most=40)


@pytest.mark.parametrize(
    ("wrong", "match"), [({"minutes": 0}, "minutes should be above"), ({"most": 5}, "at least 20")]
)
def test_too_little_is_refused(space, wrong, match):
    with pytest.raises(SettingsError, match=match):
        make_profile(SimulatedDevice(), space, **wrong)


def test_a_space_with_few_networks_has_a_profile_too(tiny_space):
    profile = make_profile(SimulatedDevice(), tiny_space, most=60)
    assert profile.error.mean < 0.05


@pytest.mark.slow
def test_this_machine_is_predicted_better_than_by_guessing(space):
    """A guess of one latency for all is some 40 % off; half of that even on a busy machine."""
    with LocalDevice(drift=0.05) as device:
        profile = make_profile(device, space, minutes=1.5)
    assert isinstance(device.info(), DeviceInfo)
    assert profile.device == device.info().fingerprint
    assert profile.error.mean < 0.2
