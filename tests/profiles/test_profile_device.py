"""ProfileDevice: predictions where measurements were, and refusals where it does not know."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import small_space

from mnas.devices import Device, ProfileDevice, SimulatedDevice
from mnas.errors import MeasurementError, SettingsError
from mnas.profiles import Profile, layer_shapes, network_parts, write_profile
from mnas.space import Architecture
from mnas.testing import DeviceConformance


class Everything(dict):
    """Knows every layer shape: half a microsecond per letter of it, more at high resolutions."""

    def get(self, text, default=None):
        return 0.0005 * len(text) * int(text[1:].partition("_")[0]) ** 2


class TestProfileDevice(DeviceConformance):
    """With a table that answers for whatever the suite measures."""

    @pytest.fixture(autouse=True)
    def _file(self, profile, tmp_path):
        self.path = tmp_path / "all.profile"
        write_profile(self.path, profile)

    def make(self) -> Device:
        device = ProfileDevice(str(self.path))
        object.__setattr__(device.profile, "layers_ms", Everything())
        object.__setattr__(device.profile, "version", "0" * 12)
        return device


def members(space, count=20):
    generator = random.Random(5)
    return [space.decode(space.sample(generator)) for _ in range(count)]


def test_predictions_are_near_and_within_the_stated_interval(space, profile_file):
    device = ProfileDevice(str(profile_file()))
    for member in members(space, 60):
        latency, measured = device.measure(member), SimulatedDevice().measure(member).latency_ms
        assert latency.latency_ms == pytest.approx(measured, rel=0.1)
        assert latency.statistic == "profile"
    inside = [device.measure(m).low_ms < SimulatedDevice().measure(m).latency_ms < device.measure(m).high_ms
              for m in members(space, 100)]  # fmt: skip
    # Of 100 at 95 %. The width itself comes from twenty networks: one seed gave 83.
    assert sum(inside) >= 75


def test_many_at_once_are_the_same_as_each_by_itself(space, profile_file):
    device = ProfileDevice(str(profile_file()))
    some = members(space)
    assert device.predict(some).tolist() == [device.measure(member).latency_ms for member in some]
    assert device.predict([]).shape == (0,)


def test_the_fingerprint_is_the_profiles_and_the_devices(profile, profile_file):
    info = ProfileDevice(str(profile_file())).info()
    assert info.fingerprint == f"profile {profile.version} of simulated formula 1"
    assert ProfileDevice(str(profile_file(factor=1.01))).info().fingerprint != info.fingerprint


def test_a_network_that_is_not_covered_is_refused_by_its_shapes(profile_file):
    device = ProfileDevice(str(profile_file()))
    foreign = Architecture.parse("input_r64_c3 stem_c32 cn_r1_k7_s2_c24 head_c1280_n10")
    with pytest.raises(MeasurementError, match=r"does not cover 2 layer shapes .*r32_i32 cn_r1_k7_s2_c24"):
        device.measure(foreign)


def test_another_activation_is_not_covered(space, profile_file):
    with pytest.raises(MeasurementError, match="activation relu6, where it has relu"):
        ProfileDevice(str(profile_file())).measure(members(space)[0].replace(activation="relu6"))


def test_a_space_that_is_not_covered_is_refused_before_the_search(simulate, profile_file):
    wanted = {"device": {"name": "profile", "file": str(profile_file())}, "space": small_space(resolution=32)}
    with pytest.raises(SettingsError, match=r"does not cover \d+ layer shapes of space 'blocks', such as: r32_i3"):
        simulate(**wanted)


def test_a_space_of_covered_shapes_may_be_searched(profile_file):
    whole = small_space()
    blocks = tuple(replace(block, ops=("sepconv",), kernels=(5,)) for block in whole.blocks)
    fewer = replace(whole, name="fewer", blocks=blocks)
    ProfileDevice(str(profile_file()), space=fewer)


@pytest.mark.parametrize(
    ("measure_on", "expected"),
    [(True, {"name": "simulated"}), (False, None), ({"name": "cpu", "threads": 2}, {"name": "cpu", "threads": 2})],
)
def test_what_the_front_is_measured_on(profile_file, measure_on, expected):
    assert ProfileDevice(str(profile_file()), measure_on=measure_on).measure_on == expected


def test_measure_on_without_a_name_is_refused(profile_file):
    with pytest.raises(SettingsError, match="measure_on should be a table like"):
        ProfileDevice(str(profile_file()), measure_on={"threads": 2})


def test_the_file_says_how_it_was_made(profile, profile_file):
    content = json.loads(Path(profile_file()).read_text())["profile"]
    assert content["measured"]["measurements"]["layer"] > 0
    assert content["device"] == "simulated formula 1"
    assert content["error"]["networks"] == len(content["checks"]) >= 5
    assert content["space"]["name"] == "blocks"


def test_a_prediction_is_the_sum_of_the_layers(space, profile):
    member = members(space)[0]
    total = profile.network_ms + sum(profile.layers_ms[str(shape)] for shape in layer_shapes(member))
    assert isinstance(profile, Profile)
    assert profile.predict([member])[0] == pytest.approx(total)
    assert network_parts(member)
