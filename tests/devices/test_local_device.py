"""This machine's CPU as a device: real networks, real runtimes, real processes."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from made_files import made_file
from onnx import numpy_helper

from mnas.devices import LocalDevice
from mnas.devices._measuring import Patience
from mnas.devices._timing import TimingPlan
from mnas.devices.runtimes import OnnxRuntime, TorchRuntime
from mnas.errors import DeviceError, MeasurementError, SettingsError
from mnas.space import Architecture
from mnas.testing import DeviceConformance

SMALL = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ir_r2_k3_s2_e3_c16_se0.25 head_c32_n10")
OTHER = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ds_r1_k3_s1_c8 head_c32_n10")

has_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
can_fork = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux's pidfd_open")


def quick(device: LocalDevice) -> LocalDevice:
    """The device with less patience: what these tests promise does not depend on precision."""
    device.measuring.patience = Patience(half_width=0.99, busy="accept", patience_s=0)
    device.measuring.plan = TimingPlan(block_ms=1, spell_ms=10, min_blocks=3, gauge_ms=2, warm_up_ms=2)
    return device


def endless(device: LocalDevice) -> LocalDevice:
    """The device with spells that never end."""
    device.measuring.plan = TimingPlan(spell_ms=60_000)
    return device


def children(of: int | str = "self") -> set[int]:
    """Process ids of the children, zombies included."""
    found: set[int] = set()
    for task in Path(f"/proc/{of}/task").iterdir():
        found |= set(map(int, (task / "children").read_text().split()))
    return found


def is_running(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def device():
    with quick(LocalDevice(drift=0.01)) as device:
        yield device


class TestOnnxRuntimeConforms(DeviceConformance):
    shared: LocalDevice | None = None

    def make(self) -> LocalDevice:
        if TestOnnxRuntimeConforms.shared is None:  # a timing process takes most of a second to start
            TestOnnxRuntimeConforms.shared = quick(LocalDevice(drift=0.01))
        return TestOnnxRuntimeConforms.shared

    def test_a_new_object_has_the_same_fingerprint(self, device: LocalDevice) -> None:
        assert self.make().info().fingerprint == device.info().fingerprint

    @classmethod
    def teardown_class(cls) -> None:
        if cls.shared is not None:
            cls.shared.close()


@pytest.mark.slow
class TestTorchConforms(DeviceConformance):
    shared: LocalDevice | None = None

    def make(self) -> LocalDevice:
        if TestTorchConforms.shared is None:  # torch takes seconds to start
            TestTorchConforms.shared = quick(LocalDevice("torch", drift=0.01))
        return TestTorchConforms.shared

    def test_its_fingerprint_is_its_own(self, device: LocalDevice) -> None:
        assert self.make().info().fingerprint != device.info().fingerprint

    @classmethod
    def teardown_class(cls) -> None:
        if cls.shared is not None:
            cls.shared.close()


def test_several_processes_give_an_interval_over_their_estimates():
    latency = quick(LocalDevice(processes=3)).measure(SMALL)
    estimates = latency.environment["spell_latency_ms"]
    assert len(estimates) == len(latency.environment["load_seconds"]) == 3
    assert 0.999 * min(estimates) <= latency.latency_ms <= 1.001 * max(estimates)
    assert latency.low_ms < latency.latency_ms < latency.high_ms
    assert sum(latency.environment["blocks"]) == len(latency.samples_ms)


@has_proc
def test_the_drift_is_calibrated_once_and_stated_in_every_latency():
    before = children()
    with quick(LocalDevice()) as device:
        first, second = device.measure(SMALL), device.measure(SMALL)
        assert len(children() - before) == 1  # those of the calibration are gone, one stays
    drift = first.environment["interval"]
    assert drift["architecture"] == str(SMALL)
    assert len(drift["process_latency_ms"]) == 4
    assert drift["drift_sd"] == second.environment["interval"]["drift_sd"] >= 0


def test_the_circumstances_are_recorded(device):
    environment = device.measure(SMALL).environment
    assert environment["runtime"] == "onnxruntime"
    assert environment["precision"] == "fp32"
    assert environment["threads"] == 1
    assert environment["output_difference"][0] <= environment["tolerance"]
    assert 0 < environment["conversion_seconds"] < 60
    known = {
        "runtime_version",
        "cpu",
        "os",
        "cores",
        "priority",
        "governor",
        "clock_mhz",
        "load_average",
        "waited",
        "neighbours",
        "stolen",
        "celsius",
        "gauge_ms",
        "best_gauge_ms",
        "refused",
        "disturbed",
        "model_bytes",
    }
    assert known <= environment.keys()
    assert len(environment["model_sha256"]) == 64
    assert environment["best_gauge_ms"] <= min(min(pair) for pair in environment["gauge_ms"])


@has_proc
def test_the_timing_process_is_kept_on_one_core_and_has_no_torch(device):
    before = children()
    latency = device.measure(SMALL)
    (child,) = children() - before
    assert sorted(os.sched_getaffinity(child)) == latency.environment["cores"]
    assert len(latency.environment["cores"]) == 1
    assert "libtorch" not in Path(f"/proc/{child}/maps").read_text()


def test_a_file_is_timed_as_it_is_and_must_give_what_it_gave_before(device):
    file = made_file(SMALL)
    latency = device.measure_file(file)
    assert latency.environment["model_sha256"] == hashlib.sha256(file.data).hexdigest()
    assert latency.environment["conversion"] == {"from": "file"}
    other = replace(file, outputs=[[output + 1 for output in outputs] for outputs in file.outputs])
    with pytest.raises(MeasurementError, match="the outputs are wrong"):
        device.measure_file(other)
    with pytest.raises(MeasurementError, match="the file is in int8, the device measures in fp32"):
        device.measure_file(replace(file, precision="int8"))
    assert device.measure(SMALL).environment["model_sha256"] != latency.environment["model_sha256"]


def test_wrong_outputs_are_a_failed_measurement(device, monkeypatch):
    """One weight of the file is wrong; the next network is measured as ever."""
    convert = OnnxRuntime.convert

    def corrupted(self, network):
        model = onnx.load_from_string(convert(self, network))
        tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        values = numpy_helper.to_array(tensor).copy()
        values.flat[0] += 1
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return model.SerializeToString()

    device.measure(OTHER)  # its process has the reference network
    with monkeypatch.context() as patch:
        patch.setattr(OnnxRuntime, "convert", corrupted)
        with pytest.raises(MeasurementError, match=r"outputs are wrong: they differ from torch's by"):
            device.measure(SMALL)
    assert device.measure(SMALL).latency_ms > 0


def test_a_network_that_gives_no_numbers_is_a_failed_measurement(device, monkeypatch):
    def broken(self, network):
        with torch.no_grad():
            network.classifier.weight.fill_(float("nan"))
        return OnnxRuntime._convert(self, network)

    device.measure(OTHER)
    monkeypatch.setattr(OnnxRuntime, "_convert", OnnxRuntime.convert, raising=False)
    monkeypatch.setattr(OnnxRuntime, "convert", broken)
    with pytest.raises(MeasurementError, match="nan"):
        device.measure(SMALL)


def test_a_file_that_the_runtime_refuses_is_a_failed_measurement(device, monkeypatch):
    device.measure(OTHER)  # its process has the reference network
    with monkeypatch.context() as patch:
        patch.setattr(OnnxRuntime, "convert", lambda self, network: b"not a model")
        with pytest.raises(MeasurementError, match="does not run: InvalidProtobuf"):
            device.measure(SMALL)
    assert device.measure(SMALL).latency_ms > 0


class _OnLoad:
    """Calls a function in the process that unpickles it."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def _sends(monkeypatch, content: object) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    monkeypatch.setattr(TorchRuntime, "convert", lambda self, network: buffer.getvalue())


@pytest.mark.slow
def test_a_network_that_ends_its_process_costs_itself_only(monkeypatch):
    with quick(LocalDevice("torch", drift=0.01)) as device:
        device.measure(OTHER)
        with monkeypatch.context() as patch:
            _sends(patch, _OnLoad(os.abort))
            with pytest.raises(MeasurementError, match="the timing process was ended by SIGABRT"):
                device.measure(SMALL)
        assert device.measure(SMALL).latency_ms > 0


@pytest.mark.slow
@has_proc
def test_a_network_out_of_time_is_stopped(monkeypatch):
    before = children()
    with LocalDevice("torch", drift=0.01) as device:
        quick(device).measure(OTHER)
        device.measuring.limit_s = 0.5
        _sends(monkeypatch, _OnLoad(time.sleep, 60))
        with pytest.raises(MeasurementError, match=r"took longer than 0\.5 s and was stopped"):
            device.measure(SMALL)
        assert children() <= before


@has_proc
def test_a_timing_process_killed_between_measurements_is_replaced(device):
    before = children()
    device.measure(SMALL)
    (first,) = children() - before
    os.kill(first, signal.SIGKILL)  # and at once, before the system has cleared it away
    assert device.measure(SMALL).latency_ms > 0
    (second,) = children() - before
    assert second != first


@has_proc
def test_a_timing_process_killed_during_a_measurement_fails_that_one(device):
    before = children()
    device.measure(SMALL)
    (child,) = children() - before
    endless(device)
    threading.Timer(0.7, os.kill, (child, signal.SIGKILL)).start()
    with pytest.raises(MeasurementError, match="ended by SIGKILL, as the system does when memory runs out"):
        device.measure(SMALL)
    assert quick(device).info().name == "cpu"


@has_proc
def test_ctrl_c_does_not_reach_the_timing_process(device):
    before = children()
    device.measure(SMALL)
    (child,) = children() - before
    os.kill(child, signal.SIGINT)
    assert os.getsid(child) == child  # nor would the terminal's, which goes to a session
    device.measure(SMALL)
    assert children() - before == {child}


@has_proc
def test_ctrl_c_during_a_measurement_leaves_nothing_behind(device):
    before = children()
    device.measure(SMALL)
    endless(device)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        device.measure(SMALL)
    assert children() <= before


@has_proc
def test_closing_leaves_no_process_and_may_be_repeated(device):
    before = children()
    device.measure(SMALL)
    device.close()
    device.close()
    assert children() <= before
    assert device.measure(SMALL).latency_ms > 0


@has_proc
def test_a_device_that_is_let_go_takes_its_process_along():
    before = children()
    device = quick(LocalDevice(drift=0.01))
    device.measure(SMALL)
    del device
    assert children() <= before


PARENT = """
import os, sys, time
from mnas.devices import LocalDevice
from mnas.devices._timing import TimingPlan
from mnas.space import Architecture
device = LocalDevice(drift=0.01, half_width=0.99, busy="accept", patience_s=0)
device.measure(Architecture.parse(sys.argv[1]))
if "forked" in sys.argv and os.fork() == 0:
    time.sleep(60)  # holds the pipes open
print("ready", flush=True)
if "measuring" in sys.argv:
    device.measuring.plan = TimingPlan(spell_ms=60_000)
    device.measure(Architecture.parse(sys.argv[1]))
time.sleep(60)
"""


@can_fork
@pytest.mark.parametrize("how", ["measuring", pytest.param("forked", marks=pytest.mark.slow)])
def test_the_timing_process_ends_with_a_killed_parent(how):
    """In the middle of a measurement; and where a fork of the parent lives on with the same open pipes."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(SMALL), how], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    family = children(parent.pid)
    workers = {pid for pid in family if b"mnas.devices._worker" in Path(f"/proc/{pid}/cmdline").read_bytes()}
    assert len(workers) == 1
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    try:
        wait_until(lambda: not any(map(is_running, workers)))
    finally:
        parent.stdout.close()
        for pid in family - workers:
            os.kill(pid, signal.SIGKILL)


def test_an_interpreter_that_does_not_start_is_a_device_error(monkeypatch):
    device = LocalDevice()
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(DeviceError, match="does not start"):
        device.info()


def test_a_timing_process_that_ends_at_once_is_a_device_error(monkeypatch, tmp_path):
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    interpreter.chmod(0o755)
    device = LocalDevice()
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(DeviceError, match="ended with exit code 3; its last words: no such luck"):
        device.measure(SMALL)


def test_a_runtime_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(OnnxRuntime, "package", "no_such_runtime")
    with pytest.raises(SettingsError, match="pip install no_such_runtime"):
        LocalDevice()


def test_a_runtime_that_does_not_import_is_named(monkeypatch, tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libmissing.so: cannot open')")
    device = LocalDevice()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"needs onnxruntime: libmissing\.so"):
        device.info()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runtime": "onnxruntim"}, "did you mean 'onnxruntime'"),
        ({"threads": 0}, "threads should be at least 1, got 0"),
        ({"threads": 10_000}, "cores that this process may use, got 10000"),
        ({"processes": 0}, "processes should be at least 1, got 0"),
        ({"drift": 2.0}, "drift should be a relative standard deviation"),
        ({"limit_s": 0}, "limit_s should be above zero seconds, got 0"),
        ({"half_width": 0}, "half_width should be a relative half-width between 0 and 1, got 0"),
        ({"busy": "ignore"}, "busy should be 'wait' or 'accept', got 'ignore'"),
        ({"patience_s": -1}, "patience_s should be at least zero seconds, got -1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        LocalDevice(**settings)
