"""A profile from another device's: right where costs are those of the other one scaled, and honest where not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import small_space

from mnas.devices import DeviceInfo, SimulatedDevice
from mnas.errors import MeasurementError, SettingsError, StopError
from mnas.profiles import read_profile, write_profile
from mnas.profiling import transfer_profile


class Other(SimulatedDevice):
    """Three times as slow as the formula, depthwise layers even more, and one millisecond for nothing."""

    def __init__(self, fails=lambda count: None):
        self.asked: list[str] = []
        self.fails = fails

    def info(self):
        return DeviceInfo("other", "the other device")

    def measure(self, architecture):
        self.asked.append(architecture.id)
        if (error := self.fails(len(self.asked))) is not None:
            raise error
        latency = super().measure(architecture)
        separable = sum(layer.op == "sepconv" for layer in architecture.layers)
        factor = 3 + 0.1 * separable
        low, ms, high = (factor * value + 1 for value in (latency.low_ms, latency.latency_ms, latency.high_ms))
        return replace(latency, latency_ms=ms, low_ms=low, high_ms=high, device="the other device")


@pytest.fixture(scope="module")
def moved(profile, space):
    return transfer_profile(Other(), space, profile, settings={"name": "other"})


def test_ten_networks_and_ten_to_check_with_are_measured(profile, space):
    device = Other()
    moved = transfer_profile(device, space, profile)
    assert moved.measured["measurements"] == {"network": 10, "check": 10}
    assert len(set(device.asked)) == 20


def test_it_says_which_device_it_is_of_and_what_it_was_transferred_from(moved, profile, tmp_path):
    write_profile(tmp_path / "other.profile", moved)
    again = read_profile(tmp_path / "other.profile")
    assert again == moved
    assert again.device == "the other device"
    assert again.device_settings == {"name": "other"}
    origin = again.transferred_from
    assert (origin["device"], origin["profile"]) == ("simulated formula 1", profile.version)


def test_the_other_device_is_predicted_by_it_and_not_by_the_profile_itself(moved, profile, space):
    rng = np.random.default_rng(5)
    networks = [space.decode([rng.integers(len(c.options)) for c in space.choices]) for _ in range(100)]
    truth = np.array([Other().measure(network).latency_ms for network in networks])
    error = np.abs(moved.predict(networks) / truth - 1).mean()
    assert error < 0.08
    assert np.abs(profile.predict(networks) / truth - 1).mean() > 0.5
    # The error that it states is of networks it had not seen: about the same.
    assert error / 4 < moved.error.mean < 4 * error


def test_its_error_is_of_networks_that_it_did_not_learn_from(profile, space):
    """On a device where those are ten times slower, the error says so, and the fit does not follow."""
    first = transfer_profile(Other(), space, profile)
    checked = {check.architecture for check in first.checks}

    class Slow(Other):
        def measure(self, architecture):
            latency = super().measure(architecture)
            return replace(latency, latency_ms=latency.latency_ms * (10 if str(architecture) in checked else 1))

    again = transfer_profile(Slow(), space, profile)
    assert {check.architecture for check in again.checks} == checked
    assert again.error.mean > 0.5
    assert again.layers_ms == pytest.approx(first.layers_ms, rel=0.01)


def test_a_transferred_profile_can_be_transferred_again(moved, space):
    back = transfer_profile(SimulatedDevice(), space, moved)
    assert back.transferred_from["profile"] == moved.version
    assert back.error.mean < 0.1


def test_what_cannot_be_measured_is_replaced_and_told(profile, space):
    device = Other(lambda count: MeasurementError("no") if count in (2, 5) else None)
    moved = transfer_profile(device, space, profile)
    assert moved.error.networks == 10
    assert len(moved.measured["refused"]) == 2


def test_a_device_that_can_do_nothing_stops_it(profile, space):
    with pytest.raises(StopError, match=r"measurements failed, the last: .*it is broken"):
        transfer_profile(Other(lambda count: MeasurementError("it is broken")), space, profile)


def test_another_input_size_or_space_is_refused_before_anything_is_measured(profile):
    device = Other()
    with pytest.raises(SettingsError, match=r"at 64 px with 3 channels, where this one has 96 px"):
        transfer_profile(device, small_space(resolution=96), profile)
    with pytest.raises(SettingsError, match="does not cover"):
        transfer_profile(device, small_space(width=2.0), profile)
    assert not device.asked


def test_a_profile_from_before_transfers_predicts_as_ever_but_cannot_be_transferred(profile, space, tmp_path):
    write_profile(tmp_path / "old.profile", replace(profile, parts_ms={}))
    assert '"parts_ms"' not in (tmp_path / "old.profile").read_text()
    old = read_profile(tmp_path / "old.profile")
    network = space.decode((0,) * len(space.choices))
    assert old.predict([network]) == profile.predict([network])
    with pytest.raises(SettingsError, match="was made by an earlier mnas"):
        transfer_profile(Other(), space, old)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"networks": 3}, "networks should be at least 5"),
        ({"checks": 2}, "checks should be at least 5"),
        ({"minutes": 0}, "minutes should be above zero"),
        ({"minutes": 1e-9}, "too few for a profile"),
    ],
)
def test_too_little_is_refused(profile, space, wrong, match):
    with pytest.raises(SettingsError, match=match):
        transfer_profile(Other(), space, profile, **wrong)
