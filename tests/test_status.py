"""Promises of status.json: any host that sees the folder learns how a run stands, without its journal."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy
from mnas.activity import Activity, DeviceActivity
from mnas.budget import Budget, Spent
from mnas.devices import DeviceInfo, SimulatedDevice
from mnas.errors import StorageError, TrainingError
from mnas.executors import WorkerActivity
from mnas.folder import load_status
from mnas.loop import Progress
from mnas.objective import Latency
from mnas.result import Counts
from mnas.space import Architecture
from mnas.status import NAME, Status, StatusFile, read_status, write_status

pytestmark = pytest.mark.usefixtures("no_report")

COUNTS = Counts(trials=7, distinct=4, stopped=1, cached=1, infeasible=1, failed=1, epochs=20, epochs_saved=3)
ACTIVITY = Activity(
    asynchronous=True,
    queue={"to_measure": 1, "measuring": 1, "to_train": 0, "training": 2},
    workers=(WorkerActivity("a:1", 5, 1e9, 3, 12.5), WorkerActivity("b:2", None, None, 0, 0.0)),
    devices=(DeviceActivity("phone", 6, 1e9, 4, 2.5),),
    retries=1,
    failures=((3, "loss became NaN"),),
)


def _status(**changes) -> Status:
    made = Status("mine", 10, COUNTS, host="desk", pid=7, activity=ACTIVITY, spent=Spent(7, 0.5), currency="EUR")
    return replace(made, **changes)


def test_a_status_survives_its_file(tmp_path):
    status = _status(written=100.0, budget={"hours": 2.0, "money": None})
    write_status(tmp_path, status)
    assert read_status(tmp_path, now=100.0) == status


def test_the_file_has_what_other_programs_rely_on(tmp_path):
    write_status(tmp_path, _status())
    document = json.loads((tmp_path / NAME).read_text())
    assert document["failures"] == [{"trial": 3, "error": "loss became NaN"}]
    assert document["workers"][0] == {"name": "a:1", "trial": 5, "since": 1e9, "jobs": 3, "busy_seconds": 12.5}
    assert document["devices"][0]["measurements"] == 4
    assert {
        "format", "name", "host", "pid", "written", "began", "state", "phase", "message", "total", "counts",
        "best_reward", "front_size", "asynchronous", "queue", "workers", "devices", "retries", "failures",
        "trials_per_hour", "seconds", "seconds_left", "spent", "budget", "currency",
    } == document.keys()  # fmt: skip


def test_a_search_that_writes_nothing_for_a_minute_is_silent(tmp_path):
    write_status(tmp_path, _status(written=1000.0))
    assert read_status(tmp_path, now=1059.0).state == "running"
    assert read_status(tmp_path, now=1061.0).state == "silent"
    write_status(tmp_path, _status(written=1000.0, state="finished"))
    assert read_status(tmp_path, now=1e9).state == "finished"


@pytest.mark.parametrize("text", ["", '{"format": 1, "name": "x', "[]", '{"format": 1}', '{"format": 1, "queue": 3}'])
def test_a_damaged_file_says_so(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(StorageError, match=r"status\.json is damaged"):
        read_status(tmp_path)


def test_a_file_of_another_format_is_refused(tmp_path):
    write_status(tmp_path, _status())
    (tmp_path / NAME).write_text((tmp_path / NAME).read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(StorageError, match="has format 2; this mnas reads format 1"):
        read_status(tmp_path)


def test_a_reader_never_sees_half_a_file(tmp_path):
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            write_status(tmp_path, _status(message="x" * (number % 50_000)))

    write_status(tmp_path, _status())
    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(read_status(tmp_path).name == "mine" for _ in range(200))
    finally:
        ended.set()
        writer.join()


def test_it_is_written_however_long_a_step_takes(tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.status._SELDOM", 0.05)
    with StatusFile(tmp_path, "mine", 10, Budget()):
        first = read_status(tmp_path).written
        deadline = time.monotonic() + 10
        while read_status(tmp_path).written == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert read_status(tmp_path).written > first


class Seen:
    """Waits until the run's status says that another trial is measured (or trained), and keeps what it says."""

    def __init__(self, folder: Path, at: str) -> None:
        self.folder, self.at, self.seen = folder, at, dict[int, Status]()

    def wait(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            status = read_status(self.folder)
            for machine in getattr(status.activity, self.at) if status else ():
                if machine.trial is not None and machine.trial not in self.seen:
                    self.seen[machine.trial] = status
                    return
            time.sleep(0.01)


class SeenDevice(SimulatedDevice):
    """The machine that trains, of which each measurement lasts until a reader has seen it."""

    def __init__(self, folder: Path) -> None:
        self.by, self.is_searching = Seen(folder, "devices"), False

    def watch(self, progress: Progress) -> None:
        self.is_searching |= progress.activity is not None  # not while it finds out what the space reaches

    def info(self) -> DeviceInfo:
        return replace(super().info(), exclusive=True)

    def measure(self, architecture: Architecture) -> Latency:
        if self.is_searching:
            self.by.wait()
        return super().measure(architecture)


class SeenAccuracy:
    task = "seen"

    def __init__(self, folder: Path) -> None:
        self.by = Seen(folder, "workers")

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        self.by.wait()
        return SimulatedAccuracy().estimate(architecture, seed)


def test_the_status_goes_on_while_the_search_itself_measures_or_trains(simulate, tmp_path, monkeypatch):
    """With a device that is the machine that trains both happen in the search's own thread."""
    monkeypatch.setattr("mnas.status._SELDOM", 0.03)
    device, accuracy = SeenDevice(tmp_path / "run"), SeenAccuracy(tmp_path / "run")
    ppo = {"name": "ppo", "batch": 4}  # the first of `random` are what the space's reach was found by
    simulate(device=device, accuracy=accuracy, controller=ppo, trials=4, watch=device.watch)
    measuring, training = device.by.seen, accuracy.by.seen
    assert list(measuring) == [1, 2, 3]
    assert list(training) == [0, 1, 2, 3]
    for queue, seen in {"measuring": measuring, "training": training}.items():
        assert {(status.phase, status.activity.queue[queue]) for status in seen.values()} == {(queue, 1)}
    hours = [status.spent.hours for status in [*measuring.values(), *training.values()]]
    assert hours == sorted(set(hours))


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (None, "finished", ""),
        (KeyboardInterrupt(), "stopped", ""),
        (StorageError("cannot write:\n  the disk is full"), "failed", "cannot write: the disk is full"),
        (ZeroDivisionError("a bug"), "failed", "ZeroDivisionError: a bug"),
    ],
)
def test_how_it_ended_is_the_last_word(tmp_path, error, state, message):
    progress = Progress("training", 10, COUNTS, 0.7, 3, 60.0, ACTIVITY)

    def work() -> None:
        with StatusFile(tmp_path, "mine", 10, Budget()) as file:
            file.beside(lambda progress: None)(progress)
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            work()
    else:
        work()
    status = read_status(tmp_path)
    assert (status.state, status.message, status.counts, status.best_reward) == (state, message, COUNTS, 0.7)
    assert all(worker.trial is None for worker in status.activity.workers)
    assert status.seconds_left is None


def test_a_run_s_status_needs_its_status_file_alone(simulate, tmp_path):
    """On a network file system nobody but the search may touch the journal."""
    result = simulate()
    for path in result.folder.iterdir():
        if path.name != NAME:
            path.unlink()
    status = load_status(result.folder)
    assert (status.state, status.counts, status.total) == ("finished", result.counts, 20)
    assert status.best_reward == result.best.reward
    assert status.seconds == pytest.approx(result.seconds)
    assert status.spent.trials == 20


def test_a_run_from_before_there_was_a_status_file_tells_of_its_trials(simulate):
    result = simulate()
    (result.folder / NAME).unlink()
    status = load_status(result.folder)
    assert (status.state, status.counts, status.total) == ("finished", result.counts, 20)


def test_a_search_that_fails_leaves_its_reason(simulate, tmp_path):
    class AlwaysFails:
        task = "always fails"

        def estimate(self, architecture, seed):
            raise TrainingError("no GPU left")

    with pytest.raises(Exception, match="no GPU left"):
        simulate(accuracy=AlwaysFails(), out=tmp_path / "run")
    status = load_status(tmp_path / "run")
    assert status.state == "failed"
    assert "no GPU left" in status.message


def test_a_status_that_cannot_be_written_does_not_stop_the_search(simulate, monkeypatch):
    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("mnas.status.write_whole", full)
    assert len(simulate().trials) == 20
