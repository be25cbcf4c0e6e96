"""A board behind SSH: the system's ssh and a real sshd on loopback, the runtime of this Python at the other end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
import sshd_server as server
from made_files import made_file

from mnas.devices import SshDevice, TriesOut
from mnas.devices._agent import agent
from mnas.devices._measuring import Patience
from mnas.devices._timing import TimingPlan
from mnas.devices._wheels import download_command, misfit
from mnas.devices.runtimes import OnnxRuntime
from mnas.errors import DeviceError, MeasurementError, SettingsError
from mnas.space import Architecture
from mnas.testing import DeviceConformance

SMALL = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ir_r2_k3_s2_e3_c16_se0.25 head_c32_n10")

pytestmark = pytest.mark.skipif(not server.IS_HERE, reason=server.MISSING)


@pytest.fixture
def sshd(tmp_path):
    running = server.Sshd(tmp_path / "sshd")
    yield running
    running.close()


def board(sshd: server.Sshd, **settings) -> SshDevice:
    device = SshDevice(
        "board", **{"python": sys.executable, "ssh_config": sshd.ssh_config, "drift": 0.01, **settings}
    )
    device.measuring.patience = Patience(half_width=0.99, busy="accept", patience_s=0)
    device.measuring.plan = TimingPlan(block_ms=1, spell_ms=10, min_blocks=3, gauge_ms=2, warm_up_ms=2)
    return device


@pytest.mark.slow  # each test makes a connection of its own
class TestSshConforms(DeviceConformance):
    @pytest.fixture(autouse=True)
    def _server(self, sshd):
        self.sshd = sshd

    def make(self) -> SshDevice:
        return board(self.sshd)


def test_a_network_is_measured_and_nothing_is_left_behind(sshd):
    with board(sshd) as device:
        latency = device.measure(SMALL)
        (folder,) = sshd.temporary.iterdir()
        assert (folder / "agent.pyz").exists()
    assert latency.low_ms < latency.latency_ms < latency.high_ms
    assert latency.environment["output_difference"][0] < 1e-4
    assert device.info().name == "ssh://board"
    assert not device.info().exclusive
    assert list(sshd.temporary.iterdir()) == []


@pytest.mark.slow
def test_an_exported_file_is_measured_there(sshd):
    with board(sshd) as device:
        latency = device.measure_file(made_file(SMALL))
        assert latency.environment["output_difference"][0] < 1e-4
        assert latency.device == device.info().fingerprint


def test_what_times_there_is_the_one_file_alone(sshd, tmp_path):
    """Neither mnas nor torch of the other end's Python is imported."""
    path = tmp_path / "agent.pyz"
    path.write_bytes(agent())
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r}); import mnas.devices._worker as w, mnas.devices._keeper; "
        f"w.find_runtime('onnxruntime', 'fp32').version(); "
        f"assert all({str(path)!r} in m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'mnas'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_same_machine_has_the_same_fingerprint_near_and_far(sshd):
    from mnas.devices import LocalDevice

    with board(sshd) as far, LocalDevice() as near:
        assert far.info().fingerprint == near.info().fingerprint


def test_operations_can_be_tried_on_the_board_before_a_search(sshd, monkeypatch):
    with board(sshd) as device:
        assert isinstance(device, TriesOut)
        device.try_out(SMALL)
        monkeypatch.setattr(OnnxRuntime, "convert", lambda self, network: b"not a model")
        with pytest.raises(MeasurementError, match="does not run: InvalidProtobuf"):
            device.try_out(SMALL.replace(resolution=48))


@pytest.mark.slow
def test_a_connection_that_is_cut_in_the_middle_is_a_device_error_and_the_next_one_works(sshd):
    with board(sshd) as device:
        device.measure(SMALL)
        plan = device.measuring.plan
        device.measuring.plan = TimingPlan(spell_ms=60_000)
        threading.Timer(0.7, sshd.cut_off).start()
        with pytest.raises(DeviceError, match="went away in the middle of a measurement"):
            device.measure(SMALL)
        with pytest.raises(DeviceError, match=r"ssh://board cannot be reached: it ended with exit code 255.*refused"):
            device.measure(SMALL)
        sshd.start()
        device.measuring.plan = plan
        assert device.measure(SMALL).latency_ms > 0
    end = time.monotonic() + 10
    while list(sshd.temporary.iterdir()):  # that of the connection that was cut, too
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_network_that_ends_its_process_costs_itself_only(sshd, tmp_path):
    """On the board as here: the connection stands, so it is the network's fault."""
    with board(sshd) as device:
        device.measure(SMALL)
        device.measuring.plan = TimingPlan(spell_ms=60_000)

        def kill_worker() -> None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                words = path.read_bytes().split(b"\0") if path.exists() else []
                if words[-2:-1] == [f"{device._board._folder}/agent.pyz".encode()] and b"python" in words[0]:
                    os.kill(int(path.parent.name), signal.SIGKILL)

        threading.Timer(0.7, kill_worker).start()
        with pytest.raises(MeasurementError, match="the timing process ended with exit code 255"):
            device.measure(SMALL)


def test_a_host_key_that_is_not_known_is_refused(sshd):
    (sshd.folder / "known").write_text("")
    with pytest.raises(SettingsError, match=r"host key of ssh://board is not known, so nothing was sent.*ssh board"):
        board(sshd).info()


def test_a_host_key_that_has_changed_is_refused(sshd):
    sshd.change_host_key()
    with pytest.raises(SettingsError, match="host key of ssh://board has changed, so nothing was sent"):
        board(sshd).info()


def test_a_host_that_does_not_know_us_says_what_to_do(sshd):
    (sshd.folder / "authorized").write_text("")
    with pytest.raises(
        SettingsError, match="does not let us in without a question: put a key there with ssh-copy-id"
    ):
        board(sshd).info()


def test_a_board_without_that_python_says_so(sshd):
    with pytest.raises(SettingsError, match="has no command 'python9'"):
        board(sshd, python="python9").info()


def test_a_missing_runtime_is_named_with_how_to_get_it(sshd, tmp_path):
    _wheel(tmp_path / "wheels" / "broken-1.0-py3-none-any.whl", {"onnxruntime.py": "raise ImportError('no libgomp')"})
    with pytest.raises(
        SettingsError, match=r"needs onnxruntime: no libgomp\. Install it there, or .*pip download onnx"
    ):
        board(sshd, wheels=tmp_path / "wheels").info()


def test_wheels_go_along_and_are_removed(sshd, tmp_path):
    """A made wheel that shadows the runtime: it is what the board imports."""
    _wheel(tmp_path / "wheels" / "onnxruntime-9.9-py3-none-any.whl", {"onnxruntime.py": "__version__ = '9.9'"})
    with board(sshd, wheels=tmp_path / "wheels") as device:
        assert device.info().details["runtime_version"] == "9.9"
    assert list(sshd.temporary.iterdir()) == []


def test_wheels_for_another_machine_are_refused(sshd, tmp_path):
    _wheel(tmp_path / "wheels" / "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_riscv64.whl", {})
    with pytest.raises(
        SettingsError, match=r"is for cp311 on manylinux_2_28_riscv64, and does not fit.*pip download"
    ):
        board(sshd, wheels=tmp_path / "wheels").info()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_on_the_board_says_what_to_do(sshd, tmp_path):
    _wheel(tmp_path / "wheels" / "big-1.0-py3-none-any.whl", {"big.bin": os.urandom(3_000_000)})
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", sshd.temporary], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(DeviceError, match=r"cannot take big-1\.0.*No space left on device.*Make room"):
            board(sshd, wheels=tmp_path / "wheels").info()
        end = time.monotonic() + 10
        while list(sshd.temporary.iterdir()) and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        subprocess.run(["umount", sshd.temporary], check=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"address": "-oProxyCommand=evil"}, "an address should be like pi@board or pi@board:2222"),
        ({"address": "pi@board;reboot"}, "an address should be like"),
        ({"address": "board", "threads": 0}, "threads should be at least 1"),
        ({"address": "board", "runtime": "onnxruntim"}, "did you mean 'onnxruntime'"),
        ({"address": "board", "wheels": "/nonexistent"}, "wheels should be a folder of wheels"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        SshDevice(**settings)


@pytest.mark.parametrize("address", ["board", "pi@board", "pi@board:2222", "pi@192.168.1.7", "[fe80::1]:22"])
def test_addresses(address):
    assert SshDevice(address).address == address


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("onnxruntime-1.32.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl", True),
        ("onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_aarch64.whl", False),
        ("onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl", False),
        ("flatbuffers-25.2.10-py2.py3-none-any.whl", True),
        ("thing-1.0-cp38-abi3-manylinux_2_28_aarch64.whl", True),
        ("thing.whl", False),
    ],
)
def test_which_wheels_fit(name, fits):
    assert (misfit(name, "aarch64", "311") is None) == fits
    assert "manylinux_2_28_aarch64" in download_command("onnxruntime", "aarch64", "311")


def _wheel(path: Path, content: dict[str, str | bytes]) -> None:
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_looking_at_a_board_tells_what_it_is_without_measuring(sshd):
    from mnas.devices._ssh import look_at

    seen = look_at(
        "board", {"onnxruntime": "onnxruntime", "nothing": "no_such_package"}, sys.executable, sshd.ssh_config
    )
    assert set(seen.runtimes) == {"onnxruntime"}
    assert "cores" in seen.what
    assert list(sshd.temporary.iterdir()) == []
