"""An ARM board as far as there can be one here: aarch64 Python and wheels under qemu, behind a real sshd.

Its outputs are right and its wheels fit; its times mean nothing. `scripts/arm_root.sh FOLDER` makes what it needs.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest
import sshd_server as server

from mnas.devices import SshDevice
from mnas.devices._measuring import Patience
from mnas.devices._timing import TimingPlan
from mnas.errors import SettingsError
from mnas.space import Architecture

ROOT = Path(os.environ.get("MNAS_ARM_ROOT", "/nonexistent"))
SMALL = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ir_r2_k3_s2_e3_c16_se0.25 head_c32_n10")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not server.IS_HERE, reason=server.MISSING),
    pytest.mark.skipif(
        not (ROOT / "python").exists() or shutil.which("qemu-aarch64-static") is None,
        reason="needs qemu-aarch64-static, and MNAS_ARM_ROOT as scripts/arm_root.sh makes it",
    ),
]


@pytest.fixture
def sshd(tmp_path):
    running = server.Sshd(tmp_path / "sshd")
    yield running
    running.close()


def test_an_arm_board_measures_with_the_wheels_that_go_along(sshd):
    device = SshDevice(
        "board", python=str(ROOT / "python"), wheels=ROOT / "wheels", ssh_config=sshd.ssh_config, drift=0.01
    )
    device.measuring.patience = Patience(half_width=0.99, busy="accept", patience_s=0)
    device.measuring.plan = TimingPlan(block_ms=1, spell_ms=10, min_blocks=3, gauge_ms=2, warm_up_ms=2)
    with device:
        latency = device.measure(SMALL)
        assert "aarch64" in device.info().details["os"]
        assert "aarch64" in device.info().fingerprint
    assert latency.environment["output_difference"][0] < 1e-4
    assert list(sshd.temporary.iterdir()) == []


def test_wheels_for_this_machine_are_refused_with_what_to_type_instead(sshd, tmp_path):
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl", "w"):
        pass
    device = SshDevice("board", python=str(ROOT / "python"), wheels=tmp_path / "wheels", ssh_config=sshd.ssh_config)
    with pytest.raises(SettingsError, match=r"x86_64, and does not fit Python 3\.11 on aarch64.*_aarch64 --python"):
        device.info()
