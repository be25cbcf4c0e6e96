"""`mnas devices`: what is found, and that nothing is connected to unasked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mnas.devices import _reachable, reachable


@pytest.fixture
def quiet(monkeypatch, tmp_path) -> Path:
    """No phones, no programs, and a configuration of ssh of its own; its path."""
    config = tmp_path / "config"
    monkeypatch.setattr(_reachable, "_SSH_CONFIG", config)
    monkeypatch.setattr(_reachable, "phones", lambda: ())
    monkeypatch.setenv("PATH", str(tmp_path))
    return config


def test_this_machine_and_its_runtimes_with_versions(quiet):
    (found,) = reachable()
    assert found.address == "cpu"
    assert found.runtimes["onnxruntime"] == metadata.version("onnxruntime")
    assert found.problem is None


def test_hosts_of_the_ssh_configuration_are_listed_and_not_asked(quiet):
    quiet.write_text("Host pi board-2\n  HostName 10.0.0.7\nHost *.example !bad\n  User me\n")
    _, *boards = reachable()
    assert [board.address for board in boards] == ["ssh://board-2", "ssh://pi"]
    assert all("not asked: mnas devices" in board.what for board in boards)


def test_a_board_that_is_named_and_cannot_be_reached_says_why(quiet):
    found = {device.address: device for device in reachable(["ssh://nowhere.invalid"])}
    assert found["ssh://nowhere.invalid"].problem


@pytest.mark.slow
def test_gpus_are_what_nvidia_smi_tells(quiet, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, NVIDIA H100, 570.1, 81559 MiB'\n")
    tool.chmod(0o755)
    _, gpu = reachable()
    assert (gpu.address, gpu.what[:22]) == ("[gpu 0]", "NVIDIA H100, 81559 MiB")
    tool.write_text("#!/bin/sh\necho 'no driver' >&2; exit 9\n")
    _, gpu = reachable()
    assert gpu.problem == "nvidia-smi: no driver"


@pytest.mark.slow  # it starts every runtime
@pytest.mark.parametrize("flags", [["--json"], []])
def test_the_verb_prints_it_as_a_table_and_as_json(flags):
    mnas = shutil.which("mnas", path=str(Path(sys.executable).parent))
    said = subprocess.run([mnas, "devices", *flags], capture_output=True, text=True, check=True).stdout
    if not flags:
        assert "cpu" in said
        return
    document = json.loads(said)
    assert document["devices"][0]["address"] == "cpu"
