"""A phone as a device: the real adb client and server, a stand-in daemon, and programs that really run."""

from __future__ import annotations

import gc
import hashlib
import math
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_files import made_file
from standin_phone import StandInPhone, build_tool, what_is_missing

import mnas.devices._adb
import mnas.evaluator
from mnas.devices import AndroidDevice, phones
from mnas.devices._adb import AdbPhone
from mnas.devices._turn import Turn
from mnas.devices.runtimes import OnnxRuntime
from mnas.errors import DeviceError, MeasurementError, SettingsError
from mnas.run import search
from mnas.space import Architecture, described_space
from mnas.testing import DeviceConformance

SMALL = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ir_r2_k3_s2_e3_c16_se0.25 head_c32_n10")

missing = what_is_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))


class StandInLiteRt(OnnxRuntime):
    """What the stand-in tool executes under the name of LiteRT."""

    name = "litert"


class StandInExecutorch(OnnxRuntime):
    name = "executorch"


@pytest.fixture(scope="module", autouse=True)
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server of our own, on a port outside the emulators' range, with keys of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = str(tmp_path_factory.mktemp("adb"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        patch.delenv("ANDROID_SERIAL", raising=False)
        patch.setenv("HOME", home)
        subprocess.run(["adb", "start-server"], check=True, capture_output=True)
        patch.undo()
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        yield
        subprocess.run(["adb", "kill-server"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tools")
    return {face: build_tool(folder, face) for face in ("benchmark_model", "executor_runner")}


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[StandInPhone]:
    phone = StandInPhone(tmp_path / "phone")
    assert "connected" in phone.connect()
    yield phone
    phone.remove()


@pytest.fixture
def make(phone: StandInPhone, tools: dict[str, Path]):
    """Devices on the phone, with little patience: what is promised here does not depend on precision."""
    made = []

    def device(face: str = "benchmark_model", serial: str | None = None, **settings: object) -> AndroidDevice:
        runtime = StandInLiteRt() if face == "benchmark_model" else StandInExecutorch()
        quick = {"processes": 3, "max_processes": 3, "runs": 5, "seconds": 0.0, "half_width": 0.9, "patience_s": 30.0}
        made.append(AndroidDevice(serial or phone.serial, tools[face], runtime, **(quick | settings)))
        made[-1].pause_s = 0.05
        return made[-1]

    yield device
    for one in made:
        one.close()


@pytest.mark.slow
class TestConforms(DeviceConformance):
    """On one phone for all of it."""

    shared: AndroidDevice

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def one_phone(cls, tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        phone = StandInPhone(tmp_path_factory.mktemp("shared") / "phone")
        phone.write("behaviour", "timed")
        phone.connect()
        quick = {"processes": 3, "max_processes": 9, "runs": 3, "seconds": 0.0, "half_width": 0.999}
        with AndroidDevice(phone.serial, tools["benchmark_model"], StandInLiteRt(), **quick) as device:
            cls.shared = device
            yield
        phone.remove()

    def make(self) -> AndroidDevice:
        return self.shared


def test_the_plain_adb_client_can_use_the_stand_in(phone, tmp_path):
    """What the tests stand on: push, pull, stderr and exit codes, by Debian's own client."""

    def adb(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["adb", "-s", phone.serial, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    data = os.urandom(300_000)
    (tmp_path / "sent").write_bytes(data)
    assert adb("push", str(tmp_path / "sent"), "/data/local/tmp/file").returncode == 0
    assert adb("pull", "/data/local/tmp/file", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == data
    done = adb("shell", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_a_measurement_says_on_what_and_how_it_was_made(phone, make, tools):
    """The model arrives whole, the tool runs on the fastest core in fresh processes, outputs equal torch's."""
    device = make()
    latency = device.measure(SMALL)
    environment = latency.environment
    assert environment["phone"] == "Stand-in 1"
    assert (environment["soc"], environment["android"]) == ("SD000", "14")
    assert environment["tool_sha256"] == hashlib.sha256(tools["benchmark_model"].read_bytes()).hexdigest()
    (folder,) = phone.folders()
    assert hashlib.sha256((folder / "model").read_bytes()).hexdigest() == environment["model_sha256"]
    assert (folder / "model").stat().st_size == environment["model_bytes"]
    fastest = phone.cores[1]
    assert phone.lines("tool_runs") == [f"benchmark_model on cores [{fastest}]"] * 3
    assert int(environment["affinity_mask"], 16) == 1 << fastest
    assert environment["outputs_checked"] is True
    assert environment["output_difference"] <= environment["tolerance"]
    before = environment["before"]
    assert (before["temperature_c"], before["sensor"]) == (31.0, "CPU (thermalservice)")  # not the cached 99
    assert (before["governor"], before["clock_mhz"], before["clock_cap_mhz"]) == ("schedutil", [1400], [2800])
    estimates = environment["process_latency_ms"]
    assert latency.latency_ms == pytest.approx(math.prod(estimates) ** (1 / 3))
    assert environment["delegate"].startswith("XNNPACK: completely executed")


@pytest.mark.slow
def test_an_exported_file_is_measured_there_if_it_has_one_output(phone, make):
    device, file = make(), made_file(SMALL)
    latency = device.measure_file(file)
    assert latency.environment["model_sha256"] == hashlib.sha256(file.data).hexdigest()
    assert latency.environment["outputs_checked"]
    other = [[output + 1 for output in outputs] for outputs in file.outputs]
    with pytest.raises(MeasurementError, match="the outputs are wrong"):
        device.measure_file(replace(file, outputs=other))
    with pytest.raises(MeasurementError, match="benchmark_model does not say which"):
        device.measure_file(replace(file, outputs=[[*outputs, *outputs] for outputs in file.outputs]))


def test_executor_runner_is_read_too(phone, make):
    latency = make("executor_runner").measure(SMALL)
    assert phone.lines("tool_runs")[0].startswith("executor_runner")
    assert len(latency.samples_ms) == 3 * 5  # each run, without the ten of the warm-up
    assert latency.environment["outputs_checked"] is True
    assert latency.environment["warm_up_runs"] == [10, 10, 10]
    estimates = [min(latency.samples_ms[start : start + 5]) for start in (0, 5, 10)]
    assert latency.environment["process_latency_ms"] == estimates


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", ["litert", "executorch"])
def test_real_files_of_both_runtimes_give_the_right_outputs(phone, tools, name, precision):
    """Converted for the runtime, executed by it at the other end from the input that was sent."""
    module = pytest.importorskip(f"mnas.devices.runtimes._{name}")
    runtime = {"litert": "LiteRtRuntime", "executorch": "ExecuTorchRuntime"}[name]
    for package in ("litert_torch", "ai_edge_litert") if name == "litert" else ("executorch",):
        pytest.importorskip(package)
    tool = tools["benchmark_model" if name == "litert" else "executor_runner"]
    with AndroidDevice(phone.serial, tool, getattr(module, runtime)(precision), processes=3, seconds=0.0) as device:
        environment = device.measure(SMALL).environment
    assert (environment["runtime"], environment["precision"]) == (name, precision)
    assert environment["outputs_checked"] is True
    assert 0 < environment["output_difference"] <= environment["tolerance"]


def test_nothing_stays_on_the_phone(phone, make):
    with make() as device:
        device.measure(SMALL)
        assert len(phone.folders()) == 1
    assert phone.folders() == []
    device.measure(SMALL)  # it can be used again
    assert len(phone.folders()) == 1


def test_a_forgotten_device_leaves_nothing_either(phone, tools):
    device = AndroidDevice(phone.serial, tools["benchmark_model"], StandInLiteRt())
    device.info()
    assert len(phone.folders()) == 1
    del device
    gc.collect()
    assert phone.folders() == []


def test_the_tool_is_sent_once(phone, make, tools):
    device = make()
    device.measure(SMALL)
    (folder,) = phone.folders()
    sent = (folder / "benchmark_model").stat().st_ino
    device.measure(SMALL.replace(resolution=24))
    assert (folder / "benchmark_model").stat().st_ino == sent


def test_cores_can_be_chosen(phone, make):
    slow = phone.cores[0]
    environment = make(cores=[slow]).measure(SMALL).environment
    assert environment["cores"] == [slow]
    assert set(phone.lines("tool_runs")) == {f"benchmark_model on cores [{slow}]"}


def test_the_fingerprint_tells_cores_and_tools_apart(phone, make):
    devices = [make(), make(cores=[phone.cores[0]]), make("executor_runner"), make(threads=len(set(phone.cores)))]
    assert len({device.info().fingerprint for device in devices}) == (4 if len(set(phone.cores)) > 1 else 2)


class TestOutput:
    """What the tool prints is read strictly."""

    def test_an_unknown_form_is_an_error_that_quotes_the_line(self, phone, make):
        phone.write("behaviour", "unknown")
        with pytest.raises(SettingsError, match=r"benchmark_model printed 'INFO: count=.* fastest=\d+ .*version"):
            make().measure(SMALL)
        with pytest.raises(SettingsError, match=r"executor_runner printed 'I 00.* where 15 lines .* \(14 came\)"):
            make("executor_runner").measure(SMALL)

    def test_figures_that_contradict_each_other_are_an_error(self, phone, make):
        phone.write("behaviour", "mismatch")
        with pytest.raises(
            SettingsError, match=r"printed 'INFO: Inference timings.* where the mean of .*was expected"
        ):
            make().measure(SMALL)
        with pytest.raises(SettingsError, match=r"Model executed successfully .* where the iterations' sum of"):
            make("executor_runner").measure(SMALL)

    def test_the_other_program_of_that_name_is_refused(self, phone, make):
        phone.write("behaviour", "compiled")
        with pytest.raises(SettingsError, match=r"does not know --use_xnnpack: build that of tflite/tools"):
            make().measure(SMALL)

    def test_a_tool_that_logs_elsewhere_is_named(self, phone, make):
        phone.write("behaviour", "silent")
        with pytest.raises(SettingsError, match=r"printed no log: build .*DEXECUTORCH_PAL_DEFAULT=posix"):
            make("executor_runner").measure(SMALL)

    def test_wrong_outputs_are_a_failed_measurement(self, phone, make):
        phone.write("behaviour", "wrong")
        with pytest.raises(MeasurementError, match="outputs are wrong: they differ from torch's"):
            make().measure(SMALL)

    def test_an_old_tool_measures_and_says_that_outputs_were_not_checked(self, phone, make):
        phone.write("behaviour", "old")
        environment = make().measure(SMALL).environment
        assert environment["outputs_checked"] is False
        assert environment["outputs_checked_why"] == "this benchmark_model does not know --output_filepath"
        assert environment["output_difference"] is None

    def test_a_network_that_it_cannot_run_fails_alone(self, phone, make):
        phone.write("behaviour", "crash")
        device = make()
        with pytest.raises(MeasurementError, match=r"does not run this network \(exit code 1\): .*Didn't find op"):
            device.measure(SMALL)
        phone.write("behaviour", "steady")
        assert device.measure(SMALL).latency_ms > 0

    def test_a_network_that_takes_too_long_fails_alone(self, phone, make):
        phone.write("behaviour", "hang")
        device = make(limit_s=2.0)
        with pytest.raises(MeasurementError, match="took longer than limit_s = 2 seconds"):
            device.measure(SMALL)
        phone.write("behaviour", "steady")
        assert device.measure(SMALL).latency_ms > 0


class TestAbi:
    def test_a_tool_for_another_phone_is_refused_with_both_names(self, phone, make):
        phone.set_properties(abis="riscv64,riscv32")
        with pytest.raises(SettingsError, match=r"model is built for \S+, and phone .* runs riscv64,riscv32"):
            make().info()
        assert phone.folders() == []

    def test_what_is_no_program_is_refused_before_a_phone_is_asked(self, tmp_path):
        script = tmp_path / "benchmark_model"
        script.write_text("#!/bin/sh\necho something long enough\n")
        with pytest.raises(SettingsError, match=r"an ELF file for arm64-v8a, .*benchmark_model is none"):
            AndroidDevice("nowhere", script, StandInLiteRt())
        with pytest.raises(SettingsError, match="No such file"):
            AndroidDevice("nowhere", tmp_path / "missing", StandInLiteRt())


class TestHeat:
    def test_it_waits_until_the_phone_is_cool(self, phone, make):
        phone.set_temperature(71.0)
        cool = threading.Timer(1.0, phone.set_temperature, args=(44.0,))
        device = make()
        device.info()
        cool.start()
        start = time.monotonic()
        environment = device.measure(SMALL).environment
        assert time.monotonic() - start > 0.8
        assert environment["before"]["temperature_c"] == 44.0

    def test_a_phone_that_stays_hot_is_an_error_that_says_how_hot(self, phone, make):
        phone.set_temperature(71.0)
        with pytest.raises(DeviceError, match=r"stays at 71.0 °C \(CPU .*max_celsius = 50 "):
            make(patience_s=0.3).measure(SMALL)
        assert phone.lines("tool_runs") == []

    def test_throttling_androids_own_word_refuses_a_cool_phone(self, phone, make):
        phone.set_temperature(31.0, status=2)
        with pytest.raises(DeviceError, match=r"stays at 31.0 °C .*thermal status 2"):
            make(patience_s=0.3).measure(SMALL)
        assert phone.lines("tool_runs") == []

    def test_a_phone_that_starts_to_throttle_midway_is_refused(self, phone, make):
        phone.write("behaviour", "hot")
        phone.set_temperature(48.0, status=1)
        shutil.copy(phone.sandbox / "dumpsys-thermalservice", phone.sandbox / "dumpsys-hot")
        phone.set_temperature(31.0)
        with pytest.raises(DeviceError, match=r"throttles: Android reports thermal status 1; 31.0 °C before, 48.0"):
            make(patience_s=0.0).measure(SMALL)

    def test_clocks_that_are_lowered_midway_are_refused(self, phone, make):
        phone.write("behaviour", "capped")
        with pytest.raises(DeviceError, match=r"throttles: the highest clock fell from 2800 to 1500 MHz"):
            make(patience_s=0.0).measure(SMALL)

    def test_the_limit_can_be_lifted(self, phone, make):
        phone.set_temperature(71.0)
        assert make(max_celsius=0).measure(SMALL).environment["before"]["temperature_c"] == 71.0

    def test_other_sensors_are_used_where_the_first_is_missing(self, phone, make):
        (phone.sandbox / "dumpsys-thermalservice").unlink()
        phone.write("dumpsys-battery", "Current Battery Service state:\n  level: 80\n  temperature: 285\n")
        device = make()
        assert device.measure(SMALL).environment["before"]["sensor"] == "battery (dumpsys battery)"
        phone.write("sys/class/thermal/thermal_zone0/type", "battery")
        phone.write("sys/class/thermal/thermal_zone0/temp", "29000")
        phone.write("sys/class/thermal/thermal_zone1/type", "cpu-big")
        phone.write("sys/class/thermal/thermal_zone1/temp", "43200")
        before = device.measure(SMALL).environment["before"]
        assert (before["temperature_c"], before["sensor"]) == (43.2, "cpu-big (thermal zone)")

    def test_without_any_sensor_it_asks_what_to_do(self, phone, make):
        (phone.sandbox / "dumpsys-thermalservice").unlink()
        with pytest.raises(SettingsError, match="max_celsius = 0 measures without"):
            make().measure(SMALL)
        assert make(max_celsius=0).measure(SMALL).environment["before"]["temperature_c"] is None


class TestWidth:
    def test_processes_that_differ_too_much_are_refused_with_the_reason(self, phone, make):
        phone.write("behaviour", "noisy 3")  # every process 3 times slower than the one before, in rounds of three
        device = make(half_width=0.5, max_processes=5, patience_s=0.0)
        with pytest.raises(DeviceError, match=r"5 processes .* half-width of \d+\.\d %, where .* = 0.5 .*else"):
            device.measure(SMALL)
        assert len(phone.lines("tool_runs")) == 5

    def test_more_processes_are_run_only_where_they_are_needed(self, phone, make):
        phone.write("behaviour", "noisy 1.35")
        make(half_width=0.45, max_processes=30).measure(SMALL)
        assert 3 < len(phone.lines("tool_runs")) < 30

    @pytest.mark.slow
    def test_another_attempt_is_made_within_the_patience(self, phone, make):
        phone.write("behaviour", "noisy 30")
        calm = threading.Timer(2.0, phone.write, args=("behaviour", "steady"))
        calm.start()
        latency = make(half_width=0.9, patience_s=60.0).measure(SMALL)
        assert len(phone.lines("tool_runs")) >= 6
        assert len(latency.environment["process_latency_ms"]) == 3


class TestGone:
    def test_an_unknown_serial_lists_what_is_connected(self, phone, make):
        with pytest.raises(DeviceError, match=rf"'nowhere' is not connected. Connected: .*{phone.serial} \(device\)"):
            make(serial="nowhere").info()

    def test_a_phone_that_does_not_trust_this_computer(self, tmp_path, make):
        stranger = StandInPhone(tmp_path / "stranger", "unauthorized")
        try:
            stranger.connect()
            with pytest.raises(DeviceError, match="does not trust this computer yet: unlock it and allow"):
                make(serial=stranger.serial).info()
        finally:
            stranger.remove()

    def test_a_phone_that_leaves_midway_is_a_device_error(self, phone, make):
        device = make()
        device.info()
        phone.write("behaviour", "hang")
        threading.Timer(1.5, phone.unplug).start()
        with pytest.raises(DeviceError, match=rf"the connection to phone '{phone.serial}' broke"):
            device.measure(SMALL)
        with pytest.raises(DeviceError, match=r"is not connected|is offline"):
            device.measure(SMALL)

    @pytest.mark.slow
    def test_a_phone_that_falls_silent_is_no_slow_network(self, phone, make, monkeypatch):
        """As in a wireless network: the connection stays open, and nothing comes any more."""
        device = make(limit_s=2.0)
        device.info()
        phone.write("behaviour", "hang")
        threading.Timer(1.0, phone.daemon.send_signal, args=(signal.SIGSTOP,)).start()
        monkeypatch.setattr(mnas.devices._adb, "_LIMIT_S", 2.0)
        with pytest.raises(DeviceError, match="did not answer in time"):
            device.measure(SMALL)
        phone.unplug()

    def test_a_phone_that_comes_back_empty_gets_everything_again(self, phone, make):
        device = make()
        device.measure(SMALL)
        shutil.rmtree(phone.folders()[0])
        with pytest.raises(DeviceError, match=r"does not take /data/local/tmp/mnas-.*/model: .*No such file"):
            device.measure(SMALL)
        assert device.measure(SMALL).latency_ms > 0

    @pytest.mark.slow
    def test_a_search_stops_cleanly_and_resumes(self, phone, make, tmp_path, monkeypatch):
        """Cut off at the third of four networks; a second call measures the two that are left, and no other."""
        monkeypatch.setattr(mnas.evaluator, "_DEVICE_WAITS", (0.01,))
        choices = {"ops": ["sepconv"], "se_ratios": [0], "skips": ["identity"], "filter_ratios": [1]}
        space = described_space(
            blocks=[{"filters": 16, "layers": 1, "stride": 2}],
            choices=choices | {"kernels": [3, 5], "layer_deltas": [0, 1]},
            resolution=32,
            classes=10,
        )
        device = make()
        measure, count = device.measure, 0

        def cut_after_two(architecture):
            nonlocal count
            count += 1
            if count == 3:
                subprocess.run(["adb", "disconnect", phone.serial], check=True, capture_output=True)
            return measure(architecture)

        monkeypatch.setattr(device, "measure", cut_after_two)
        settings = {
            "space": space, "device": device, "accuracy": "simulated", "dataset": None, "controller": "random",
            "trials": 5, "workers": 0, "final": {"top": 0}, "out": tmp_path / "run",
        }  # fmt: skip
        with pytest.raises(DeviceError, match="is not connected"):
            search(**settings)
        phone.connect()
        result = search(**settings)
        assert len(result.trials) == 5
        assert count == 2 + 2 + 2  # measured; tried twice while it was away; measured

    def test_the_tool_is_ended_with_the_measurement(self, phone, make):
        """Ctrl-C, a timeout: no process goes on heating the phone."""
        phone.write("behaviour", "hang")
        with pytest.raises(MeasurementError, match="took longer"):
            make(limit_s=1.5).measure(SMALL)
        until = time.monotonic() + 5  # the daemon ends it when it hears that the connection is closed
        while _running_children(phone.daemon.pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert not _running_children(phone.daemon.pid)


def _running_children(pid: int) -> list[str]:
    """The commands that a daemon runs; those that have ended and were not yet waited for are left out."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [child for child in found if Path(f"/proc/{child}/stat").read_text().split(") ")[1][0] != "Z"]


class TestFullDisk:
    def test_it_says_what_to_free(self, tmp_path, make):
        """A real file system of 64 KB: the tool fits, the network does not."""
        wrap = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                'mount -t tmpfs -o size=64k none "$STANDIN_TMP" && exec "$@"', "sh")  # fmt: skip
        allowed = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False)
        if allowed.returncode:
            pytest.skip("this machine allows no mounts in a user namespace")
        os.environ["STANDIN_TMP"] = str(tmp_path / "small/data/local/tmp")
        small = StandInPhone(tmp_path / "small", wrap=wrap)
        try:
            small.connect()
            large = Architecture.parse("input_r32_c3 stem_k3_s2_c32 cn_r2_k5_s2_c64 head_c64_n10")
            with pytest.raises(
                DeviceError, match=r"no room for \d\.\d MB in /data/local/tmp .*No space left.*remove something"
            ):
                make(serial=small.serial).measure(large)
            assert small.lines("tool_runs") == []
        finally:
            small.remove()
            del os.environ["STANDIN_TMP"]


def test_commands_are_lists_of_words(phone):
    """Nothing that a name contains is executed by the phone's shell."""
    here = AdbPhone(phone.serial)
    nasty = "/data/local/tmp/a b; touch x `touch y` 'z\" $(touch w)"
    here.make_folder(nasty)
    here.push(b"data", f"{nasty}/file")
    assert here.read(f"{nasty}/file") == b"data"
    assert here.names(nasty) == ["file"]
    here.remove(nasty)
    assert phone.folders() == []
    assert {path.name for path in phone.sandbox.iterdir()}.isdisjoint({"x", "y", "w"})


def test_phones_lists_what_is_reachable_and_what_is_not(phone, tmp_path):
    stranger = StandInPhone(tmp_path / "stranger", "unauthorized")
    try:
        stranger.connect()
        found = {info.serial: info for info in phones()}
    finally:
        stranger.remove()
    usable = found[phone.serial]
    assert (usable.state, usable.model, usable.android) == ("device", "Stand-in 1", "14")
    assert usable.abi
    assert found[stranger.serial].state in ("unauthorized", "authorizing")
    assert found[stranger.serial].model is None


def test_the_tool_can_come_from_the_environment(tools, monkeypatch):
    monkeypatch.delenv("MNAS_ADB_TOOL", raising=False)
    with pytest.raises(SettingsError, match=r"needs benchmark_model, .* in the environment variable MNAS_ADB_TOOL"):
        AndroidDevice("nowhere", runtime=StandInLiteRt())
    monkeypatch.setenv("MNAS_ADB_TOOL", str(tools["benchmark_model"]))
    assert AndroidDevice("nowhere", runtime=StandInLiteRt()).tool_path == tools["benchmark_model"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threads": 0}, "threads should be at least 1, got 0"),
        ({"threads": 2, "cores": [0]}, "cores should be at least the 2 of threads"),
        ({"processes": 2}, "processes should be at least 3, got 2"),
        ({"processes": 5, "max_processes": 4}, "max_processes should be at least processes = 5, got 4"),
        ({"runs": 0}, "runs should be at least 1"),
        ({"seconds": -1.0}, "seconds should be 0 or more"),
        ({"half_width": 3}, "half_width should be a share from 0.02 to 1, got 3"),
        ({"half_width": 0.01}, "half_width should be a share from 0.02 to 1, got 0.01"),
        ({"max_celsius": -1}, "max_celsius should be 0"),
        ({"patience_s": -1}, "patience_s should be 0 or more"),
        ({"limit_s": 0.5, "seconds": 1.0}, "limit_s should be more than seconds = 1"),
        ({"runtime": "litter"}, "unknown runtime 'litter'"),
        ({"runtime": "torch"}, "unknown runtime for phones 'torch'"),
    ],
)
def test_wrong_settings_are_refused(settings, message, tools):
    with pytest.raises(SettingsError, match=message):
        AndroidDevice("nowhere", tools["benchmark_model"], **({"runtime": StandInLiteRt()} | settings))


def test_cores_that_the_phone_lacks_are_refused(phone, make):
    with pytest.raises(SettingsError, match=r"cores should be among the phone's \[.*got \[77\]"):
        make(cores=[77]).info()
    with pytest.raises(SettingsError, match="threads should be at most the phone's"):
        make(threads=50).info()


def test_two_searches_take_turns_on_a_phone(phone, make, monkeypatch):
    monkeypatch.setattr("mnas.devices._turn.LIMIT_S", 0.2)
    device = make()
    with Turn("the other search", f"adb {phone.serial}").taken(), pytest.raises(DeviceError, match="measured on by"):
        device.measure(SMALL)
    assert device.measure(SMALL).latency_ms > 0
