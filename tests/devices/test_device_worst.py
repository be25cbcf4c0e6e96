"""Promises of `worst-of`: the worst of several devices by what each may take, and each is shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from made_devices import MadeUnit
from typer.testing import CliRunner

from mnas.cli import _commands
from mnas.devices import Device, DeviceInfo, SimulatedDevice, WorstOf, measure_together
from mnas.errors import DeviceError, SettingsError
from mnas.objective import Energy, Latency
from mnas.report import render_markdown
from mnas.space import Architecture
from mnas.testing import DeviceConformance

SMALL = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ds_k3_c8 head_c16_n10")
LARGE = Architecture.parse("input_r128_c3 stem_k3_s2_c32 cn_r2_k3_c64 head_c64_n10")


class TestWorstOf(DeviceConformance):
    def make(self) -> Device:
        return WorstOf([SimulatedDevice(), MadeUnit("slow", factor=1.5)], scales=[1, 2])


class Overhead(MadeUnit):
    """A device with a high constant cost: worst on small networks, good on large ones. It tells file and energy."""

    def measure(self, architecture: Architecture) -> Latency:
        ms = 0.5 * super().measure(architecture).latency_ms + 1
        energy = Energy(7 * ms, 6.9 * ms, 7.1 * ms, "made")
        return Latency(ms, 0.8 * ms, 1.2 * ms, "made", self.info().fingerprint, (ms,), {"model_bytes": 100}, energy)

    def info(self) -> DeviceInfo:
        return replace(super().info(), name="overhead", fingerprint="overhead")


def test_the_latency_is_the_worst_and_each_is_kept():
    device = WorstOf([MadeUnit("a"), Overhead("b")])
    small, large = device.measure(SMALL), device.measure(LARGE)
    assert (small.environment["worst"], large.environment["worst"]) == ("overhead", "made")
    for latency, network in ((small, SMALL), (large, LARGE)):
        assert latency.parts == {"made": MadeUnit("a").measure(network), "overhead": Overhead("b").measure(network)}
        assert latency.latency_ms == max(part.latency_ms for part in latency.parts.values())


def test_each_device_is_measured_by_what_it_may_take():
    """A watch that may take four times as long is not the worst at three times."""
    phone, watch = MadeUnit("phone"), MadeUnit("watch", factor=3)
    assert WorstOf([phone, watch]).measure(SMALL).environment["worst"] == "made 2"
    scaled = WorstOf([phone, watch], scales=[1, 4]).measure(SMALL)
    assert scaled.environment["worst"] == "made 1"
    assert scaled.latency_ms == phone.measure(SMALL).latency_ms
    assert scaled.parts["made 2"].latency_ms == watch.measure(SMALL).latency_ms  # as measured there
    hard = WorstOf([phone, watch], scales=[1, 2]).measure(SMALL)
    assert hard.latency_ms == pytest.approx(1.5 * phone.measure(SMALL).latency_ms)


def test_the_interval_is_that_of_the_largest():
    latency = WorstOf([MadeUnit("a"), Overhead("b")]).measure(SMALL)
    exact, wide = MadeUnit("a").measure(SMALL), Overhead("b").measure(SMALL)
    assert (latency.low_ms, latency.high_ms) == (max(exact.low_ms, wide.low_ms), max(exact.high_ms, wide.high_ms))


def test_file_and_energy_are_those_of_any_device_that_tells_them():
    latency = WorstOf([MadeUnit("a"), Overhead("b")]).measure(LARGE)
    assert latency.environment["model_bytes"] == 100
    assert latency.energy == Overhead("b").measure(LARGE).energy
    assert WorstOf([MadeUnit("a")]).measure(LARGE).energy is None


def test_other_scales_are_another_device():
    one, other = WorstOf([MadeUnit("a")] * 2), WorstOf([MadeUnit("a")] * 2, [1, 2])
    assert one.info().fingerprint != other.info().fingerprint


def test_networks_to_be_compared_are_measured_so_on_each_device():
    class Together(MadeUnit):
        def measure_together(self, architectures, processes):  # type: ignore[no-untyped-def]
            return [replace(self.measure(each), statistic=f"{processes} processes") for each in architectures]

    found = measure_together(WorstOf([MadeUnit("a", factor=0.1), Together("b")]), [SMALL, LARGE], processes=3)
    assert [latency.statistic for latency in found] == ["worst of 2 devices: 3 processes"] * 2


def test_a_device_that_is_gone_is_gone():
    with pytest.raises(DeviceError):
        WorstOf([MadeUnit("a"), MadeUnit("b", lives=0)]).measure(SMALL)


@pytest.mark.parametrize(
    ("devices", "scales", "said"),
    [
        ([], None, "list of tables"),
        (["cpu"], None, "list of tables"),
        ([MadeUnit("a")], [1, 2], "1 numbers above zero"),
        ([MadeUnit("a")], [0], "above zero"),
    ],
)
def test_what_makes_no_sense_is_refused(devices, scales, said):
    with pytest.raises(SettingsError, match=said):
        WorstOf(devices, scales)


# -- in a search ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_front_and_report_show_each_device(simulate):
    result = simulate(device=WorstOf([MadeUnit("a"), Overhead("b")]), trials=10)
    page = render_markdown(result.folder)
    runner = CliRunner()
    table = runner.invoke(_commands.app, ["front", str(result.folder)]).stdout
    document = json.loads(runner.invoke(_commands.app, ["front", str(result.folder), "--json"]).stdout)
    for text in (page, table):
        assert "made ms" in text
        assert "overhead ms" in text
        assert "energy mJ" in text
    for trial, row in zip(sorted(result.front, key=lambda t: t.number), document["trials"], strict=True):
        parts = trial.measurement.latency.parts
        assert set(row["devices"]) == {"made", "overhead"}
        assert row["energy_mj"] == parts["overhead"].energy.millijoules
        for name, part in parts.items():
            assert row["devices"][name]["latency_ms"] == part.latency_ms
            assert f"{part.latency_ms:.4g}" in page
            assert f"{part.latency_ms:.4g}" in table


def test_one_device_has_no_columns_of_others(simulate):
    page = render_markdown(simulate(trials=5).folder)
    assert "simulated ms" not in page
    assert "energy" not in page


def test_worst_of_is_settings(simulate):
    devices = [{"name": "simulated"}, {"name": "worst-of", "devices": [{"name": "simulated"}], "scales": [0.5]}]
    result = simulate(device={"name": "worst-of", "devices": devices}, trials=5)
    first = result.trials[0].measurement.latency
    assert first.environment["worst"] == "worst-of"
    assert first.latency_ms == pytest.approx(2 * first.parts["simulated"].latency_ms)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ({"name": "worst-of"}, "needs devices"),
        ({"name": "worst-of", "devices": ["cpu"]}, "list of tables"),
        ({"name": "worst-of", "devices": [{"name": "simulatd"}]}, "did you mean 'simulated'"),
        ({"name": "pool", "units": [{"name": "simulated", "threads": 2}]}, "unknown key for device 'simulated'"),
    ],
)
def test_wrong_settings_of_nested_devices_are_named(simulate, device, said):
    with pytest.raises(SettingsError, match=said):
        simulate(device=device)
