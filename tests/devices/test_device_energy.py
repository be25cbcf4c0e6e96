"""Energy from meters: RAPL's files made by the test and advanced by it, NVML's refusals; no hardware is needed."""

from __future__ import annotations

import os
import random
import sys
import types
from pathlib import Path

import pytest

from mnas.devices import EnergyPlan, NvmlMeter, RaplMeter, measure_energy, open_meter
from mnas.errors import DeviceError, MeasurementError, SettingsError

RANGE_UJ = 262_143_328_850


class MadeMachine:
    """A powercap folder, a clock, and a processor of so many watts idle and more while a network runs.

    The counter moves every `tick_s`, as real ones do; what is random is the power of each moment.
    """

    def __init__(self, root: Path, idle_w: float = 8.0, busy_w: float = 20.0, run_s: float = 0.004,
                 noise: float = 0.0, tick_s: float = 0.001, start_uj: int = 0) -> None:  # fmt: skip
        self.idle_w, self.busy_w, self.run_s, self.noise, self.tick_s = idle_w, busy_w, run_s, noise, tick_s
        self.seconds, self.microjoules, self._random = 0.0, float(start_uj), random.Random(0)
        self.zone = root / "intel-rapl:0"
        self.psys = root / "intel-rapl:1"
        for zone, name in ((self.zone, "package-0"), (self.psys, "psys"), (root / "intel-rapl:0:0", "core")):
            zone.mkdir(parents=True)
            (zone / "name").write_text(f"{name}\n")
            (zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self._write()

    def run(self) -> None:
        self._pass(self.run_s, self.busy_w)

    def sleep(self, seconds: float) -> None:
        self._pass(seconds, self.idle_w)

    def clock(self) -> float:
        return self.seconds

    def _pass(self, seconds: float, watts: float) -> None:
        before = self.seconds // self.tick_s
        self.seconds += seconds
        self.microjoules += seconds * watts * 1e6 * (1 + self.noise * self._random.uniform(-1, 1))
        if self.seconds // self.tick_s > before:
            self._write()

    def _write(self) -> None:
        for zone in self.zone.parent.iterdir():
            (zone / "energy_uj").write_text(f"{int(self.microjoules) % RANGE_UJ}\n")


@pytest.mark.slow
def test_the_energy_of_a_run_is_what_it_takes_above_idle(tmp_path):
    machine = MadeMachine(tmp_path, idle_w=8, busy_w=20, run_s=0.004, noise=0.3)
    energy = measure_energy(machine.run, RaplMeter(tmp_path), EnergyPlan(), machine.clock, machine.sleep)
    assert energy.millijoules == pytest.approx(0.004 * 12 * 1e3, rel=0.02)
    assert energy.low < energy.millijoules < energy.high
    assert energy.meter == "rapl package-0"
    assert energy.environment["idle_watts"] == pytest.approx([8] * 7, rel=0.05)


@pytest.mark.slow
def test_the_interval_holds_the_truth(tmp_path):
    """Of 40 intervals at 95 %, at least 33 hold it: fewer would be one chance in a thousand. The seeds are fixed."""
    held, widths = 0, []
    for index in range(40):
        machine = MadeMachine(tmp_path / str(index), noise=0.8, tick_s=0.02)
        machine._random.seed(index)
        energy = measure_energy(
            machine.run, RaplMeter(tmp_path / str(index)), EnergyPlan(4, 0.2), machine.clock, machine.sleep
        )
        held += energy.low <= 48 <= energy.high
        widths.append(energy.high - energy.low)
    assert held >= 33
    assert sum(widths) / len(widths) < 0.5 * 48  # else holding it would be no feat


def test_a_slow_counter_costs_no_accuracy(tmp_path):
    """One that moves every 100 ms, as a GPU's, in windows of 250 ms."""
    machine = MadeMachine(tmp_path, tick_s=0.1)
    energy = measure_energy(machine.run, RaplMeter(tmp_path), EnergyPlan(3, 0.25), machine.clock, machine.sleep)
    assert energy.millijoules == pytest.approx(48, rel=0.03)


def test_a_counter_that_begins_anew_goes_on(tmp_path):
    machine = MadeMachine(tmp_path, start_uj=RANGE_UJ - 3_000_000)  # three joules before its range
    meter = RaplMeter(tmp_path)
    for _ in range(100):
        machine.run()  # 80 mJ each
        meter.read_joules()
    assert meter.read_joules() == pytest.approx(8.0, rel=1e-5)
    assert int((machine.zone / "energy_uj").read_text()) == pytest.approx(5_000_000, rel=1e-5)


def test_packages_and_their_memory_are_summed_and_nothing_twice(tmp_path):
    """`psys` holds the packages once more, `core` is within its package."""
    MadeMachine(tmp_path)
    for path, name in (("intel-rapl:0:1", "dram"), ("intel-rapl:2", "package-1"), ("intel-rapl-mmio:0", "package-0")):
        (tmp_path / path).mkdir()
        (tmp_path / path / "name").write_text(name)
        (tmp_path / path / "max_energy_range_uj").write_text(str(RANGE_UJ))
        (tmp_path / path / "energy_uj").write_text("0")
    meter = RaplMeter(tmp_path)
    assert meter.name == "rapl package-0+dram+package-1"
    for zone in tmp_path.iterdir():
        (zone / "energy_uj").write_text("1000000")
    assert meter.read_joules() == 3.0


def test_a_counter_that_may_not_be_read_says_what_to_do(tmp_path, monkeypatch):
    machine = MadeMachine(tmp_path)
    file = machine.zone / "energy_uj"
    if os.geteuid() == 0:  # root may read everything

        def denied(path: Path) -> str:
            raise PermissionError(13, "Permission denied", str(path))

        whole = Path.read_text
        monkeypatch.setattr(Path, "read_text", lambda path: denied(path) if path == file else whole(path))
    else:
        file.chmod(0)
    with pytest.raises(SettingsError, match=r"root alone\): sudo chmod a\+r .*energy_uj"):
        RaplMeter(tmp_path)


def test_a_machine_without_a_meter_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="energy = true needs a meter, and there is none"):
        RaplMeter(tmp_path / "nothing")
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "name").write_text("psys")
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").write_text("1")
    with pytest.raises(SettingsError, match="of a package"):
        RaplMeter(tmp_path)


@pytest.mark.skipif(Path("/sys/class/powercap/intel-rapl:0").exists(), reason="this machine has a meter")
def test_this_machine_has_no_meter_and_says_so():
    with pytest.raises(SettingsError, match="/sys/class/powercap has no intel-rapl"):
        open_meter("cpu")


@pytest.mark.slow
def test_a_meter_that_stands_still_or_goes_is_a_device_that_is_gone(tmp_path):
    machine = MadeMachine(tmp_path, idle_w=0, busy_w=0)
    meter = RaplMeter(tmp_path)
    with pytest.raises(DeviceError, match="has not moved for 5 s"):
        measure_energy(machine.run, meter, EnergyPlan(), machine.clock, machine.sleep)
    (machine.zone / "energy_uj").unlink()
    with pytest.raises(DeviceError, match="cannot be read any more"):
        meter.read_joules()


@pytest.mark.slow
def test_a_network_that_cannot_be_told_from_idle_is_not_given_an_energy(tmp_path):
    machine = MadeMachine(tmp_path, idle_w=8, busy_w=8, noise=0.5)
    with pytest.raises(MeasurementError, match="cannot be told from the idle machine's"):
        measure_energy(machine.run, RaplMeter(tmp_path), EnergyPlan(), machine.clock, machine.sleep)


@pytest.mark.parametrize(("windows", "window_s"), [(1, 0.5), (3, 0.0)])
def test_a_plan_from_which_no_interval_follows_is_refused(windows, window_s):
    with pytest.raises(SettingsError, match="window"):
        EnergyPlan(windows, window_s)


# -- NVML: a driver made by the test, for its refusals and its unit ------------------------------------------


def made_nvml(monkeypatch: pytest.MonkeyPatch, refuses_at: str = "") -> types.SimpleNamespace:
    class NVMLError(Exception):
        pass

    def answer(name: str, value: object) -> object:
        def call(*_: object) -> object:
            if name == nvml.refuses_at:
                raise NVMLError("Not Supported")
            return value() if callable(value) else value

        return call

    nvml = types.SimpleNamespace(NVMLError=NVMLError, refuses_at=refuses_at, millijoules=0)
    for name, value in (("nvmlInit", None), ("nvmlDeviceGetHandleByIndex", "handle"), ("nvmlDeviceGetName", b"H100"),
                        ("nvmlDeviceGetTotalEnergyConsumption", lambda: nvml.millijoules)):  # fmt: skip
        setattr(nvml, name, answer(name, value))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


def test_without_its_library_nvml_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(SettingsError, match=r"pip install 'mnas\[nvml\]'"):
        open_meter("cuda")


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetTotalEnergyConsumption"])
def test_without_driver_gpu_or_counter_nvml_refuses(monkeypatch, call):
    made_nvml(monkeypatch, refuses_at=call)
    with pytest.raises(SettingsError, match="energy counter of GPU 0, and NVML has none: Not Supported"):
        NvmlMeter()


def test_nvml_counts_in_millijoules_and_may_go(monkeypatch):
    nvml = made_nvml(monkeypatch)
    meter = NvmlMeter()
    nvml.millijoules = 1500
    assert (meter.name, meter.read_joules()) == ("nvml H100", 1.5)
    nvml.refuses_at = "nvmlDeviceGetTotalEnergyConsumption"
    with pytest.raises(DeviceError, match="counter of H100 cannot be read any more"):
        meter.read_joules()
