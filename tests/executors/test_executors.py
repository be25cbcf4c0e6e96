"""Promises of the executors: what a job does costs that job alone, and no worker outlives the search."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnas.errors import SettingsError, TrainingError
from mnas.executors import InProcessExecutor, ProcessExecutor


def double(value: int) -> int:
    return 2 * value


def misbehave(how: str) -> str:
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exits":
        os._exit(3)
    if how == "diverges":
        raise TrainingError("loss became NaN")
    if how == "eats memory":
        raise MemoryError("0 bytes left")
    return how


def bug() -> None:
    raise ZeroDivisionError


@pytest.fixture(params=["in process", "processes"])
def executor(request):
    made = InProcessExecutor() if request.param == "in process" else ProcessExecutor(2)
    yield made
    made.close()


def test_each_job_comes_back_under_its_key(executor):
    jobs = {number: (number,) for number in range(7)}
    assert dict(executor.run(double, jobs)) == {number: 2 * number for number in range(7)}
    assert dict(executor.run(double, {})) == {}


def test_a_candidate_that_fails_is_an_outcome(executor):
    outcomes = dict(executor.run(misbehave, {1: ("diverges",), 2: ("works",)}))
    assert str(outcomes[1]) == "loss became NaN"
    assert outcomes[2] == "works"


def test_anything_else_is_raised(executor):
    with pytest.raises(ZeroDivisionError):
        dict(executor.run(bug, {1: ()}))


def test_a_worker_that_dies_costs_its_own_job_alone():
    executor = ProcessExecutor(2)
    hows = ["works", "dies", "works too", "exits", "eats memory", "works again"]
    outcomes = dict(executor.run(misbehave, {number: (how,) for number, how in enumerate(hows)}))
    executor.close()
    assert {number: o for number, o in outcomes.items() if isinstance(o, str)} == {
        0: "works",
        2: "works too",
        5: "works again",
    }
    assert "SIGKILL" in str(outcomes[1])
    assert "exit code 3" in str(outcomes[3])
    assert "out of memory" in str(outcomes[4])


def test_no_workers_are_refused():
    with pytest.raises(SettingsError, match="at least 1"):
        ProcessExecutor(0)


_PARENT = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_executors import note_and_wait
from mnas.executors import ProcessExecutor
if __name__ == "__main__":
    dict(ProcessExecutor(2).run(note_and_wait, {{1: ({folder!r},), 2: ({folder!r},)}}))
"""


def note_and_wait(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_workers_end_with_a_killed_search(tmp_path):
    script = tmp_path / "parent.py"
    notes = tmp_path / "notes"
    notes.mkdir()
    script.write_text(_PARENT.format(tests=str(Path(__file__).parent), folder=str(notes)))
    parent = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 60
    while len(list(notes.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(note.name) for note in notes.iterdir()]
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    while any(map(_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, workers))
