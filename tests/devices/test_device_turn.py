"""Promises of a turn: one at a time, nobody is overtaken for ever, and it ends with its process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import sshd_server as server

from mnas.devices import SshDevice, _turn
from mnas.devices._turn import Turn
from mnas.errors import DeviceError, SettingsError
from mnas.space import Architecture

SMALL = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ds_k3_c8 head_c16_n10")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("MNAS_CACHE", str(tmp_path / "cache"))


def other_process(key: str) -> subprocess.Popen[str]:
    """One that has the turn, until it is killed."""
    code = (
        "import time; from mnas.devices._turn import Turn\n"
        f"with Turn('x', {key!r}).taken(): print(1, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "1\n"
    return process


def test_one_at_a_time_whichever_process_or_thread(monkeypatch):
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        turn = Turn("a phone", "adb 1")
        for _ in range(5):
            with turn.taken():
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.005)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_another_device_is_not_waited_for():
    with Turn("a phone", "adb 1").taken(), Turn("another", "adb 2").taken(), Turn("a board", "ssh a/b 22").taken():
        pass


def test_who_asks_again_and_again_does_not_keep_others_out():
    is_over, waited = threading.Event(), []

    def greedy() -> None:
        turn = Turn("a phone", "adb 1")
        while not is_over.is_set():
            with turn.taken():
                time.sleep(0.03)

    thread = threading.Thread(target=greedy)
    thread.start()
    try:
        for _ in range(5):
            began = time.monotonic()
            with Turn("a phone", "adb 1").taken():
                waited.append(time.monotonic() - began)
    finally:
        is_over.set()
        thread.join()
    assert max(waited) < 5


def test_after_the_limit_it_is_a_device_error_that_names_the_process(monkeypatch, caplog):
    monkeypatch.setattr(_turn, "LIMIT_S", 0.2)
    monkeypatch.setattr(_turn, "_TELL_S", 0.05)
    process = other_process("adb 1")
    try:
        with (
            caplog.at_level(logging.WARNING, "mnas.devices"),
            pytest.raises(DeviceError, match=rf"a phone has been measured on by process {process.pid} for 0\.2 s"),
            Turn("a phone", "adb 1").taken(),
        ):
            pass
    finally:
        process.kill()
        process.wait()
    assert [record.getMessage() for record in caplog.records] == [
        f"a phone is being measured on by process {process.pid}: taking turns"
    ]


def test_a_process_that_is_killed_leaves_no_lock():
    process = other_process("adb 1")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    began = time.monotonic()
    with Turn("a phone", "adb 1").taken():
        assert time.monotonic() - began < 5


def test_an_error_within_ends_the_turn():
    with pytest.raises(ValueError, match="broken"), Turn("a phone", "adb 1").taken():
        raise ValueError("broken")
    with Turn("a phone", "adb 1").taken():
        pass


def test_a_folder_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MNAS_CACHE", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match="set MNAS_CACHE to a folder"), Turn("a phone", "adb 1").taken():
        pass


@pytest.mark.slow
@pytest.mark.skipif(not server.IS_HERE, reason=server.MISSING)
def test_two_searches_take_turns_on_a_board_under_whatever_name(tmp_path, monkeypatch):
    monkeypatch.setattr(_turn, "LIMIT_S", 0.2)
    sshd = server.Sshd(tmp_path / "sshd")
    try:
        settings = {"python": sys.executable, "ssh_config": sshd.ssh_config, "drift": 0.01}
        with SshDevice("board", **settings) as device, Turn("board", f"ssh 127.0.0.1 {sshd.port}").taken():
            assert device.info().name == "ssh://board"  # that needs no turn
            with pytest.raises(DeviceError, match="ssh://board has been measured on by process"):
                device.try_out(SMALL)
        with SshDevice("board", **settings) as device:
            device.try_out(SMALL)
    finally:
        sshd.close()
