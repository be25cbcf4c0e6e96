"""What every device promises."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from mnas.devices import Device
from mnas.objective import Latency
from mnas.space import Architecture
from mnas.testing._state import unchanged_global_state

_FRAME = "input_r32_c3 stem_k3_s2_c8 {} head_c32_n10"


class DeviceConformance:
    """Tests for a device: subclass it and give `make`. Some twenty measurements of small networks.

    class TestMyDevice(DeviceConformance):
        def make(self):
            return MyDevice("tcp:192.168.1.7")
    """

    def make(self) -> Device:
        """The device, ready to measure."""
        raise NotImplementedError("give make(self), which returns the device to test")

    def architecture(self) -> Architecture:
        """A small network that the device can run."""
        return Architecture.parse(_FRAME.format("ir_r2_k3_s2_e3_c16_se0.25"))

    def large_architecture(self) -> Architecture:
        """One that is slower on any hardware: here some 200 times as many MAdds."""
        return Architecture.parse("input_r128_c3 stem_k3_s2_c32 cn_r4_k5_s2_c64 head_c64_n10")

    def test_a_latency_lies_within_its_interval(self) -> None:
        """Milliseconds above zero, finite, with a statistic's name; samples likewise."""
        latency = self.make().measure(self.architecture())
        assert isinstance(latency, Latency)
        assert 0 < latency.low_ms <= latency.latency_ms <= latency.high_ms < math.inf
        assert latency.statistic
        assert isinstance(latency.samples_ms, tuple)
        assert all(0 < sample < math.inf for sample in latency.samples_ms)

    def test_the_fingerprint_names_the_device(self) -> None:
        """Stable over calls and new objects, and written into each latency."""
        device = self.make()
        fingerprint = device.info().fingerprint
        assert device.info().name
        assert fingerprint
        assert device.measure(self.architecture()).device == fingerprint
        assert device.info().fingerprint == fingerprint
        assert self.make().info().fingerprint == fingerprint

    def test_what_it_tells_can_be_stored(self) -> None:
        """A latency survives JSON, without NaN; so do the device's details."""
        device = self.make()
        latency = device.measure(self.architecture())
        stored = json.loads(json.dumps(dataclasses.asdict(latency), allow_nan=False))
        assert Latency.from_dict(stored) == latency
        json.dumps(dict(device.info().details), allow_nan=False)

    def test_a_much_larger_network_is_slower(self) -> None:
        """The device really measures: far more work takes more time."""
        device = self.make()
        small, large = device.measure(self.architecture()), device.measure(self.large_architecture())
        assert large.latency_ms > small.latency_ms

    @pytest.mark.parametrize("se", ["", "_se0.25"], ids=["plain", "se"])
    @pytest.mark.parametrize("skip", ["", "_noskip", "_pool"], ids=["identity", "none", "pool"])
    @pytest.mark.parametrize(
        "op", ["cn_r2_k3_s1", "ds_r2_k5_s1", "ir_r2_k3_s1_e3"], ids=["conv", "sepconv", "mbconv"]
    )
    def test_every_kind_of_layer_can_be_measured(self, op: str, skip: str, se: str) -> None:
        """All that the spaces of the package offer."""
        architecture = Architecture.parse(_FRAME.format(f"{op}_c8{se}{skip}"))
        assert self.make().measure(architecture).latency_ms > 0

    def test_measuring_changes_nothing_else(self) -> None:
        """The architecture, global generators, threads, folder and environment are as they were."""
        device, architecture = self.make(), self.architecture()
        before = str(architecture)
        device.measure(architecture)  # the first measurement may load libraries
        with unchanged_global_state():
            device.measure(architecture)
        assert str(architecture) == before
