"""`mnas board` itself, as a process with a port."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest

from mnas.folder import load_result
from mnas.storage import RunStorage

pytestmark = pytest.mark.slow
MNAS = [sys.executable, "-c", "from mnas.cli import main; main()"]


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Served:
    """A board that was started, and what it said."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        command = [*MNAS, "board", str(folder), "--port", str(self.port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._wait()

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self) -> tuple[int, str]:
        """Its exit code and all that it said."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err

    def _wait(self) -> None:
        until = monotonic() + 120
        while monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                sleep(0.05)
        raise AssertionError(f"it did not start: {self.process.communicate()}")


@pytest.fixture
def started(mixed_run: Path) -> Iterator[list[Served]]:
    found: list[Served] = []
    yield found
    for served in found:
        served.process.kill()
        served.process.wait()


def test_new_trials_are_there_within_two_seconds_and_ctrl_c_ends_it(mixed_run, started):
    started.append(Served(mixed_run))
    served = started[0]
    cursor = json.loads(served.get("/api/runs/0/trials")[1])["cursor"]
    with RunStorage.read(mixed_run) as storage:
        identity = storage.meta("identity")
    with RunStorage.create(mixed_run, identity) as storage:
        storage.add_trial(replace(load_result(mixed_run).best, number=40))
        stored = monotonic()
        while not (table := json.loads(served.get(f"/api/runs/0/trials?after={cursor}")[1]))["number"]:
            assert monotonic() - stored < 2
    assert table["number"] == [40]
    code, said = served.stop()
    assert code == 130
    assert "Traceback" not in said
    assert f"http://127.0.0.1:{served.port}/" in said


def test_a_token_is_printed_once_and_is_in_no_log(mixed_run, started):
    started.append(Served(mixed_run, "--host", "0.0.0.0"))
    served = started[0]
    assert served.get("/api/runs")[0] == 401
    served.get("/?token=wrong")
    _, said = served.stop()
    token = re.search(r"token=(\S+)", said)[1]
    assert said.count(token) == 1
    assert "wrong" not in said


def test_what_is_no_request_is_refused_and_it_goes_on(mixed_run, started):
    started.append(Served(mixed_run))
    served = started[0]
    for garbage in (
        b"GET /api/runs?" + b"a" * 10_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"x: y\r\n" * 100_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            try:
                connection.sendall(garbage)
                answer = connection.recv(100)
            except OSError:
                answer = b""  # it hung up while we still talked
        assert answer == b"" or re.match(rb"HTTP/1.1 4\d\d ", answer), answer
    assert served.get("/api/runs")[0] == 200
