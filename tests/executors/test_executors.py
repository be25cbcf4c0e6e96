"""Promises of the executors beyond their suite (tests/testing), such as that no worker outlives the search."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest

from mnas.errors import SettingsError, StopError, TrainingError, WorkerLostError
from mnas.executors import InProcessExecutor, Limits, ProcessExecutor, outcomes
from mnas.testing import _executor_jobs

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept on Linux alone")


def misbehave(how: str) -> str:
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exits":
        os._exit(3)
    if how == "diverges":
        raise TrainingError("loss became NaN")
    return how


def hang(how: str) -> None:
    if how == "sleeps":
        time.sleep(1000)
    np.linalg.svd(np.ones((6000, 6000)))  # minutes, in C, where no signal handler of Python runs


def eat(how: str, gigabytes: float) -> int:
    if how == "torch":
        import torch

        return int(torch.ones(int(gigabytes * 1e9 / 4)).numel())
    return np.ones(int(gigabytes * 1e9 / 8)).size


def process_id() -> int:
    return os.getpid()


def wait_here(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


class Holder:
    """Something heavy, which counts how often it is pickled and made again in a process."""

    pickled = made = 0

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __getstate__(self) -> dict[str, int]:
        Holder.pickled += 1
        return self.__dict__

    def __setstate__(self, state: dict[str, int]) -> None:
        Holder.made += 1
        self.__dict__.update(state)

    def times(self, value: int) -> tuple[int, int, int]:
        return self.factor * value, os.getpid(), Holder.made


@pytest.fixture
def processes():
    """Makes executors that are closed in the end."""
    made: list[ProcessExecutor] = []

    def make(workers: int, limits: Limits | None = None) -> ProcessExecutor:
        made.append(ProcessExecutor(workers, limits))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def test_a_worker_that_dies_costs_its_own_job_alone(processes):
    executor = processes(2)
    hows = ["works", "dies", "works too", "exits", "works again"]
    futures = [executor.submit(misbehave, how) for how in hows]
    wait(futures, timeout=60)
    assert [futures[place].result().value for place in (0, 2, 4)] == ["works", "works too", "works again"]
    with pytest.raises(WorkerLostError, match="SIGKILL - often the system, out of memory"):
        futures[1].result()
    with pytest.raises(WorkerLostError, match="exit code 3"):
        futures[3].result()


def test_what_a_function_holds_is_pickled_once_and_sent_to_each_worker_once(processes):
    executor, two, three, before = processes(2), Holder(2), Holder(3), Holder.pickled
    found = [future.result(60).value for future in [executor.submit(two.times, value) for value in range(10)]]
    assert [value for value, *_ in found] == [2 * value for value in range(10)]
    assert Holder.pickled == before + 1
    assert {made for *_, made in found} == {1}
    assert executor.submit(three.times, 5).result(60).value[0] == 15
    os.kill(found[0][1], signal.SIGKILL)
    again = [executor.submit(three.times, value) for value in range(6)]
    wait(again, timeout=60)
    kept = [(value, future.result().value) for value, future in enumerate(again) if future.exception() is None]
    assert len(kept) >= 5, "one at most was on the worker that died"
    assert all(found == 3 * value for value, (found, *_) in kept)


def test_what_cannot_be_sent_is_told_in_words(processes):
    executor = processes(1)
    with pytest.raises(ZeroDivisionError):
        executor.submit(_executor_jobs.divide_by_nothing, 1).result(60)
    with pytest.raises(RuntimeError, match="PeculiarError"):
        executor.submit(_executor_jobs.be_peculiar).result(60)
    with pytest.raises((AttributeError, TypeError), match=r"pickle|local"):
        executor.submit(lambda: None).result(60)
    assert executor.submit(abs, -2).result(60).value == 2


def test_a_job_that_loses_every_worker_fails_once_it_was_tried_often_enough(processes):
    found = dict(outcomes(processes(1, Limits(retries=1)), misbehave, {1: ("dies",), 2: ("diverges",)}))
    assert isinstance(found[1], WorkerLostError)
    assert str(found[2]) == "loss became NaN"
    assert dict(outcomes(processes(1), abs, {})) == {}


@pytest.mark.parametrize("how", ["sleeps", pytest.param("computes", marks=pytest.mark.slow)])
def test_a_job_beyond_its_time_is_ended(processes, how):
    executor = processes(1, Limits(time_s=1.5))
    hung = executor.submit(hang, how)
    with pytest.raises(TrainingError, match=r"more than limits.time_s = 1.5 seconds") as ended:
        hung.result(60)
    assert not isinstance(ended.value, WorkerLostError), "it would be tried again"
    assert executor.submit(abs, -6).result(60).value == 6


@LINUX
@pytest.mark.parametrize("how", ["numpy", pytest.param("torch", marks=pytest.mark.slow)])
def test_a_job_beyond_its_memory_ends_with_its_reason(processes, how):
    executor = processes(1, Limits(memory_gb=3))
    assert executor.submit(eat, how, 0.1).result(60).value > 0
    before = executor.submit(process_id).result(60).value
    with pytest.raises(TrainingError, match=r"ran out of memory within limits.memory_gb = 3") as ended:
        executor.submit(eat, how, 8.0).result(60)
    assert not isinstance(ended.value, WorkerLostError)
    assert executor.submit(process_id).result(60).value != before, "another worker goes on"


@LINUX
def test_a_limit_of_memory_in_process_is_lifted_after_the_job():
    executor = InProcessExecutor(Limits(memory_gb=3))
    with pytest.raises(TrainingError, match=r"limits.memory_gb = 3"):
        executor.submit(eat, "numpy", 8.0).result()
    assert np.ones(10).sum() == 10


def test_what_workers_do_is_told(processes, tmp_path):
    executor = processes(1)
    executor.submit(abs, -1).result(60)
    running = executor.submit(wait_here, str(tmp_path), key=17)
    executor.submit(abs, -2, key=18)
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    (worker,) = executor.activity()
    assert (worker.trial, worker.jobs) == (17, 1)
    assert worker.name.endswith(f":{next(tmp_path.iterdir()).name}")
    assert worker.since == pytest.approx(time.time(), abs=30)
    assert running.running()


def test_workers_that_die_as_they_start_stop_the_search_with_a_reason(processes, monkeypatch):
    monkeypatch.setattr("mnas.executors._processes.serve", os._exit)
    with pytest.raises(StopError, match="die as they start"):
        processes(1).submit(abs, -1).result(60)


def test_limits_that_cannot_be_kept_are_refused():
    with pytest.raises(SettingsError, match="at least 1"):
        ProcessExecutor(0)
    with pytest.raises(SettingsError, match=r"limits.time_s needs worker processes"):
        InProcessExecutor(Limits(time_s=5))
    for wrong in ({"time_s": 0}, {"memory_gb": -1}, {"retries": -1}):
        with pytest.raises(SettingsError, match=f"limits: {next(iter(wrong))} should be"):
            Limits(**wrong)


def test_gpus_are_dealt_by_turns(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    executor = ProcessExecutor(3)
    try:
        futures = [executor.submit(os.getenv, "CUDA_VISIBLE_DEVICES") for _ in range(12)]
        assert {future.result(60).value for future in futures} <= {"3", "5"}
    finally:
        executor.close()


_PARENT = """
import sys
from concurrent.futures import wait
sys.path[:0] = [{tests!r}]
from test_executors import wait_here
from mnas.executors import ProcessExecutor
if __name__ == "__main__":
    executor = ProcessExecutor(2)
    wait([executor.submit(wait_here, {folder!r}) for _ in range(2)], timeout={seconds})
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
@pytest.mark.parametrize("how", ["killed", "interrupted", "not closed"])
def test_workers_end_with_the_search(tmp_path, how):
    script, notes = tmp_path / "parent.py", tmp_path / "notes"
    notes.mkdir()
    seconds = 0.1 if how == "not closed" else 1000
    script.write_text(_PARENT.format(tests=str(Path(__file__).parent), folder=str(notes), seconds=seconds))
    parent = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    if how != "not closed":
        while len(list(notes.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(list(notes.iterdir())) == 2
        parent.send_signal(signal.SIGKILL if how == "killed" else signal.SIGINT)
    parent.wait(timeout=60)
    workers = [int(note.name) for note in notes.iterdir()]
    while any(map(_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, workers))
