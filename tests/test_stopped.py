"""A search that is stopped from outside, as by a terminal or a scheduler: it is clean, soon, and it resumes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray_nodes import RAY_ENVIRONMENT

from mnas.folder import load_result
from mnas.storage import Ask, RunStorage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("no_report"),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc for what is left"),
]

MNAS = [sys.executable, "-c", "from mnas.cli import main; main()"]
SETTINGS = """
trials = 12
workers = 2
asynchronous = true
device = {{ name = "simulated" }}
accuracy = {{ name = "simulated", seconds = 0.5 }}
controller = {{ name = "random" }}
final = {{ top = 0 }}
executor = {{ name = "{executor}" }}
"""
MARK = "MNAS_TEST_STOPPED"


class Search:
    """A search in a process group of its own, as a shell starts it, and all processes that came of it."""

    def __init__(self, folder: Path, executor: str) -> None:
        settings, self.run = folder / "stopped.toml", folder / "run"
        settings.write_text(SETTINGS.format(executor=executor))
        self._mark = f"{MARK}={folder}"
        environment = {**os.environ, **RAY_ENVIRONMENT, MARK: str(folder)}
        command = [*MNAS, "search", str(settings), "--out", str(self.run)]
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not holds() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.02)

    def trials(self) -> int:
        try:
            with RunStorage.read(self.run) as storage:
                return len(storage.trials())
        except Exception:  # it begins
            return 0

    def stop(self, how: str) -> str:
        """What it said, once it has ended; it may take some seconds, for it ends its workers."""
        if how == "ctrl-c":
            os.killpg(self.process.pid, signal.SIGINT)
        else:
            self.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        told = "".join(self.process.communicate(timeout=120))
        assert time.monotonic() - began < 15, told
        return told

    def left(self) -> list[str]:
        """What still runs of it."""
        return [
            (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and self._is_of_it(path)
        ]

    def _is_of_it(self, path: Path) -> bool:
        try:
            is_zombie = (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            return not is_zombie and self._mark in (path / "environ").read_bytes().decode(errors="replace").split(
                "\0"
            )
        except OSError:
            return False


@pytest.fixture
def searching(tmp_path: Path) -> Iterator[Callable[[str], Search]]:
    """Begins searches, each in its folder; none outlives the test."""
    begun: list[Search] = []

    def begin(executor: str) -> Search:
        folder = tmp_path / f"search{len(begun)}"
        folder.mkdir()
        begun.append(Search(folder, executor))
        return begun[-1]

    yield begin
    for search in begun:
        if search.process.poll() is None:
            search.process.kill()
            search.process.communicate()


def check_ended(search: Search, told: str) -> None:
    """With its message alone, and nothing left of it."""
    assert search.process.returncode == 130, told
    assert "stopped; everything finished is stored" in told
    for ugly in ("Traceback", "KeyboardInterrupt", "Error", "Exception", "WARNING"):
        assert ugly not in told, told
    deadline = time.monotonic() + 10
    while search.left() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not search.left()


def check_resumes(search: Search, simulate, essence, folder: Path) -> None:
    command = [*MNAS, "resume", str(search.run), "--executor", "in-process"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    undisturbed = simulate(out=folder, controller="random", trials=12)
    assert [essence(t) for t in load_result(search.run).trials] == [essence(t) for t in undisturbed.trials]
    with RunStorage.read(search.run) as storage:
        told = [number for entry in storage.journal() if not isinstance(entry, Ask) for number in entry.numbers]
    assert sorted(told) == list(range(12))


@pytest.mark.parametrize("executor", ["processes", "ray"])
@pytest.mark.parametrize("how", ["ctrl-c", "kill"])
def test_a_search_stops_with_its_message_alone_and_resumes(searching, simulate, essence, tmp_path, executor, how):
    """Ctrl-C comes to all processes of the terminal's group, `kill PID` to the search alone."""
    search = searching(executor)
    search.wait_for(lambda: search.trials() >= 2)
    check_ended(search, search.stop(how))
    assert 2 <= search.trials() < 12
    check_resumes(search, simulate, essence, tmp_path / "undisturbed")


@pytest.mark.parametrize(("executor", "seconds"), [("processes", 2.0), ("ray", 8.0)])
def test_it_does_so_at_any_moment(searching, executor, seconds):
    """While workers or Ray begin, too: 12 random moments from when the run folder is there."""
    rng = random.Random(7)
    for number in range(12):
        search = searching(executor)
        search.wait_for((search.run / "status.json").exists)
        time.sleep(rng.uniform(0, seconds))
        if search.process.poll() is None:
            check_ended(search, search.stop("ctrl-c" if number % 2 else "kill"))
