"""Promises of asynchronous searches: nobody waits for the slowest, nothing is lost or told twice, whatever dies."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy, StopBelow
from mnas.config import parse_settings
from mnas.devices import DeviceInfo, SimulatedDevice
from mnas.errors import DeviceError, SettingsError, TrainingError
from mnas.executors import InProcessExecutor, ThreadExecutor
from mnas.folder import load_result
from mnas.loop import Progress
from mnas.objective import Caps, Latency, WeightedProduct
from mnas.plan import plan_from
from mnas.space import Architecture
from mnas.stopping import StoppingRule
from mnas.storage import Ask, RunStorage, Tell
from mnas.trial import TrialState

pytestmark = pytest.mark.usefixtures("no_report")

ASYNCHRONOUS = {"asynchronous": True, "controller": {"name": "evolution", "population": 10, "tournament": 5}}


@pytest.fixture
def threads(monkeypatch):
    """Two workers that need no processes."""
    monkeypatch.setattr("mnas.executors.InProcessExecutor", lambda limits: ThreadExecutor(2))


def journal(folder: Path) -> list[Ask | Tell]:
    with RunStorage.read(folder) as storage:
        return list(storage.journal())


def assert_each_is_told_once(folder: Path, total: int) -> None:
    """Every number asked once, stored once, told once and after it was asked."""
    asked: list[int] = []
    told: list[int] = []
    for entry in journal(folder):
        if isinstance(entry, Ask):
            asked += [proposal.number for proposal in entry.proposals]
        else:
            assert set(entry.numbers) <= set(asked)
            told += entry.numbers
    assert asked == list(range(total))
    assert sorted(told) == asked
    assert [trial.number for trial in load_result(folder).trials] == asked


@dataclass(frozen=True)
class Uneven:
    """Simulated accuracy of which every fourth network takes long."""

    seconds: float = 0.3
    task = SimulatedAccuracy().task

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        time.sleep(self.seconds if int(architecture.id, 16) % 4 == 0 else 0.0)
        return SimulatedAccuracy().estimate(architecture, seed)


# -- the order of things --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    "controller",
    ["random", "evolution", *(pytest.param(name, marks=pytest.mark.slow) for name in ("nsga2", "guided", "optuna"))],
)
def test_what_finishes_first_is_told_first_and_the_run_resumes(simulate, controller, tmp_path):
    parts: dict[str, Any] = {"asynchronous": True, "controller": controller, "accuracy": Uneven(0.2)}
    simulate(**parts, trials=20)
    told = [number for entry in journal(tmp_path / "run") if isinstance(entry, Tell) for number in entry.numbers]
    assert told != sorted(told), "some overtook others"
    simulate(**parts, trials=35)  # replays what was told out of order, then goes on
    assert_each_is_told_once(tmp_path / "run", 35)


@pytest.mark.usefixtures("threads")
def test_ppo_updates_without_its_stragglers(simulate, tmp_path):
    """At least three quarters of a batch are told together; who is late comes with the next."""
    simulate(asynchronous=True, controller={"name": "ppo", "batch": 8}, accuracy=Uneven(0.3), trials=48)
    tells = [entry.numbers for entry in journal(tmp_path / "run") if isinstance(entry, Tell)]
    assert all(len(numbers) >= 6 for numbers in tells[:-1])
    assert sum(tells, ()) != tuple(range(48))
    assert_each_is_told_once(tmp_path / "run", 48)


@pytest.mark.usefixtures("threads")
def test_an_architecture_in_flight_is_not_trained_again(simulate, tiny_space, counting_accuracy):
    result = simulate(**ASYNCHRONOUS, space=tiny_space, accuracy=counting_accuracy, trials=150)
    assert len(set(counting_accuracy.asked)) == len(counting_accuracy.asked) == result.counts.distinct
    assert result.counts.cached == 150 - result.counts.distinct > 0
    assert {t.reward for t in result.trials if t.cached} <= {t.reward for t in result.trials if not t.cached}


@pytest.mark.usefixtures("threads")
def test_what_misses_a_cap_is_never_trained(simulate, counting_accuracy):
    objective = WeightedProduct.soft(20.0, Caps(max_latency_ms=22.0))
    result = simulate(**ASYNCHRONOUS, objective=objective, accuracy=counting_accuracy, trials=30)
    infeasible = {t.architecture.id for t in result.trials if t.state is TrialState.INFEASIBLE}
    assert infeasible
    assert not infeasible & set(counting_accuracy.asked)


class Beside(SimulatedDevice):
    """A device that takes its time, and notes how many trainings go on meanwhile."""

    def __init__(self, accuracy: Noted, exclusive: bool = False) -> None:
        self.accuracy, self.exclusive, self.beside = accuracy, exclusive, list[int]()

    def info(self) -> DeviceInfo:
        return replace(super().info(), exclusive=self.exclusive)

    def measure(self, architecture: Architecture) -> Latency:
        time.sleep(0.005)
        self.beside.append(self.accuracy.going_on)
        return super().measure(architecture)


class Noted:
    task = SimulatedAccuracy().task
    going_on = 0

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        self.going_on += 1
        time.sleep(0.02)
        self.going_on -= 1
        return SimulatedAccuracy().estimate(architecture, seed)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("exclusive", [False, True])
def test_trainings_go_on_beside_a_measurement_unless_the_device_is_this_machine(simulate, exclusive):
    accuracy = Noted()
    device = Beside(accuracy, exclusive)
    simulate(**ASYNCHRONOUS, accuracy=accuracy, device=device, trials=30)
    assert (max(device.beside) == 0) is exclusive


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
def test_what_goes_on_is_told_at_least_once_a_second(simulate):
    seen: list[tuple[float, Progress]] = []
    result = simulate(
        **ASYNCHRONOUS, accuracy=Uneven(1.2), trials=24, watch=lambda p: seen.append((time.monotonic(), p))
    )
    searching = [(when, p.activity) for when, p in seen if p.activity is not None]
    assert max(b[0] - a[0] for a, b in pairwise(searching)) < 1.2
    assert all(list(a.queue) == ["to_measure", "measuring", "to_train", "training"] for _, a in searching)
    assert max(a.queue["training"] for _, a in searching) == 2
    last = searching[-1][1]
    assert last.asynchronous
    # The order in which trainings end decides what is bred next, and that may be what was trained already.
    assert sum(worker.jobs for worker in last.workers) == sum(not trial.cached for trial in result.trials)
    assert [device.name for device in last.devices] == ["simulated"]
    assert 24 - 16 <= last.devices[0].measurements <= 24  # some told before what the space reaches


def test_which_searches_are_asynchronous(monkeypatch):
    def decided(workers: int = 2, **changes: Any) -> bool:
        data = {"dataset": {"name": "digits"}, "space": {"name": "mnasnet", "resolution": 32}, "workers": workers}
        plan = plan_from(parse_settings(data | {"device": {"name": "simulated"}} | changes, "a test"))
        controller = plan.controller(plan.objective(20.0), ())
        return plan.is_asynchronous(controller, ThreadExecutor(workers) if workers else InProcessExecutor())

    assert decided()
    assert not decided(workers=0), "one worker waits for nobody"
    assert not decided(accuracy={"name": "simulated"}), "a formula takes no time"
    assert not decided(controller={"name": "ppo"}), "it learns from whole batches"
    assert not decided(device={"name": "cpu"}), "the device is the machine that trains"
    assert decided(controller={"name": "ppo"}, asynchronous=True)
    assert not decided(asynchronous=False)


class Curved:
    """Learning curves, with the thresholds that each training was given."""

    task, epochs = "curved", 4

    def __init__(self) -> None:
        self.given: dict[str, StopBelow] = {}

    def estimate(
        self, architecture: Architecture, seed: int, stop_below: StopBelow | None = None
    ) -> AccuracyEstimate:
        assert stop_below is not None
        self.given[architecture.id] = stop_below
        time.sleep(0.01 if int(architecture.id, 16) % 3 else 0.05)
        final = SimulatedAccuracy().estimate(architecture, seed).accuracy
        late = 1 + int(architecture.id, 16) % 100 / 5000
        curve = tuple(final ** (late * power) for power in (1.6, 1.3, 1.1))
        for epoch, accuracy in enumerate(curve, start=1):
            if stop_below.stops(epoch, accuracy):
                return AccuracyEstimate(accuracy, curve[:epoch], stopped=True)
        return AccuracyEstimate(final, (*curve, final))


@pytest.mark.usefixtures("threads")
def test_trainings_end_by_what_was_told_before_they_were_asked(simulate, tmp_path):
    """Not by what else was known when they began: resumed, they would end elsewhere."""
    accuracy, stopping = Curved(), {"use": True, "first": 5, "factor": 4}
    parts = ASYNCHRONOUS | {"accuracy": accuracy, "stopping": stopping}
    simulate(**parts, trials=30)
    result = simulate(**parts, trials=60)
    assert result.counts.stopped
    rule = StoppingRule(4, first=5, factor=4)
    objective = WeightedProduct.soft(result.target_ms)
    trials = {trial.number: trial for trial in result.trials}
    told: list[int] = []
    for entry in journal(tmp_path / "run"):
        if isinstance(entry, Tell):
            told += entry.numbers
            continue
        evidence = rule.learn([trials[number] for number in told], objective, result.device)
        for trial in (trials[proposal.number] for proposal in entry.proposals):
            if not trial.cached:
                assert accuracy.given[trial.architecture.id] == evidence.below(trial.latency_ms or 0.0)


# -- stopped --------------------------------------------------------------------------------------------------------


class Forever(SimulatedDevice):
    """A device that takes a minute from the nth measurement on."""

    def __init__(self, good: int) -> None:
        self.good = good

    def measure(self, architecture: Architecture) -> Latency:
        self.good -= 1
        if self.good < 0:
            time.sleep(60)
        return super().measure(architecture)


@pytest.mark.usefixtures("threads")
def test_ctrl_c_stops_within_two_seconds_and_keeps_what_has_finished(simulate, tmp_path):
    seen: list[tuple[float, int]] = []

    def watch(progress: Progress) -> None:
        activity = progress.activity
        is_stuck = activity and activity.queue["measuring"] and not activity.queue["training"] and not seen
        if is_stuck and (activity.devices[0].since or 0) < time.time() - 0.3:
            seen.append((time.monotonic(), progress.counts.trials))
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        simulate(**ASYNCHRONOUS, device=Forever(20), watch=watch, trials=40)  # 16 of them for what the space reaches
    when, finished = seen[0]
    assert time.monotonic() - when < 2
    assert len(load_result(tmp_path / "run").trials) == finished > 0
    simulate(**ASYNCHRONOUS, trials=40)
    assert_each_is_told_once(tmp_path / "run", 40)


@pytest.mark.usefixtures("threads")
def test_a_device_that_goes_stops_the_search_and_it_resumes(simulate, tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.evaluator._DEVICE_WAITS", (0.0,))

    class Unplugged(SimulatedDevice):
        left = 30

        def measure(self, architecture: Architecture) -> Latency:
            self.left -= 1
            if self.left < 0:
                raise DeviceError("unplugged")
            return super().measure(architecture)

    with pytest.raises(DeviceError, match="unplugged"):
        simulate(**ASYNCHRONOUS, device=Unplugged(), trials=40)
    assert len(load_result(tmp_path / "run").trials) > 20
    simulate(**ASYNCHRONOUS, trials=40)
    assert_each_is_told_once(tmp_path / "run", 40)


# -- workers that die, hang and eat, in real processes --------------------------------------------------------------


@dataclass(frozen=True)
class Deadly:
    """Simulated accuracy whose worker is killed in the first `deaths` tries of every third network."""

    folder: str
    deaths: int
    task = "deadly"

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        tries = Path(self.folder) / architecture.id
        if int(architecture.id, 16) % 3 == 0:
            done = len(tries.read_text()) if tries.exists() else 0
            tries.write_text("x" * (done + 1))
            if done < self.deaths:
                os.kill(os.getpid(), signal.SIGKILL)
        return SimulatedAccuracy().estimate(architecture, seed)


@pytest.mark.parametrize("asynchronous", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_training_whose_worker_was_killed_is_tried_again(simulate, tmp_path, asynchronous):
    parts = ASYNCHRONOUS | {"asynchronous": asynchronous, "workers": 2, "trials": 12}
    result = simulate(**parts, accuracy=Deadly(str(tmp_path), 1))
    assert {t.state for t in result.trials} == {TrialState.COMPLETE}
    assert {t.attempts for t in result.trials} == {1, 2}
    for trial in result.trials:
        assert trial.attempts == (2 if int(trial.architecture.id, 16) % 3 == 0 else 1)
        assert trial.worker.rpartition(":")[2].isdigit()
        assert trial.train_seconds >= 0


@pytest.mark.slow
def test_a_training_that_loses_every_worker_fails_with_its_reason(simulate, tmp_path):
    result = simulate(**ASYNCHRONOUS, workers=2, trials=12, accuracy=Deadly(str(tmp_path), 99), limits={"retries": 1})
    failed = [t for t in result.trials if t.state is TrialState.FAILED]
    assert failed
    assert len(result.trials) == 12
    for trial in failed:
        assert trial.attempts == 2
        assert "SIGKILL" in (trial.error or "")
        assert "tried 2 times" in (trial.error or "")


@dataclass(frozen=True)
class Greedy:
    """Simulated accuracy of which every third network hangs or eats memory."""

    how: str
    task = "greedy"

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        if int(architecture.id, 16) % 3 == 0:
            if self.how == "hangs":
                time.sleep(1000)
            if self.how == "computes":
                np.linalg.svd(np.ones((6000, 6000)))
            kept = [np.ones(100_000_000) for _ in range(50)]
            raise TrainingError(f"{len(kept)} arrays of 0.8 GB each were had")
        return SimulatedAccuracy().estimate(architecture, seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "limits", "said"),
    [
        ("hangs", {"time_s": 2.0}, "limits.time_s = 2 seconds"),
        ("computes", {"time_s": 2.0}, "limits.time_s = 2 seconds"),
        ("eats", {"memory_gb": 2.0}, "limits.memory_gb = 2"),
    ],
)
def test_a_training_beyond_a_limit_costs_one_trial_and_is_not_tried_again(simulate, how, limits, said):
    result = simulate(**ASYNCHRONOUS, workers=2, trials=12, accuracy=Greedy(how), limits=limits)
    beyond = [t for t in result.trials if int(t.architecture.id, 16) % 3 == 0]
    assert beyond
    assert all(t.state is TrialState.FAILED and said in (t.error or "") and t.attempts == 1 for t in beyond)
    assert all(t.state is TrialState.COMPLETE for t in result.trials if t not in beyond)


def test_limits_are_settings(simulate):
    with pytest.raises(SettingsError, match=r"limits.time_s needs worker processes"):
        simulate(limits={"time_s": 5})
    with pytest.raises(SettingsError, match=r"key in 'limits': 'time': did you mean 'time_s'"):
        simulate(limits={"time": 5})


# -- the driver: killed, out of disk, its clock set -----------------------------------------------------------------

_SEARCH = """
import sys
import mnas
if __name__ == "__main__":
    mnas.search(device="simulated", accuracy={"name": "simulated", "seconds": 0.02}, dataset=None,
                controller={"name": "evolution", "population": 10, "tournament": 5}, asynchronous=True,
                trials=60, workers=2, final={"top": 0}, out=sys.argv[1])
"""


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_search_killed_at_random_moments_loses_nothing_and_doubles_nothing(simulate, tmp_path, kills):
    """SIGKILL of the driver with its workers busy; then it is resumed to its end."""
    script = tmp_path / "search.py"
    script.write_text(_SEARCH)
    generator, killed = random.Random(kills), 0
    for number in range(kills):
        folder = tmp_path / f"killed{number}"
        process = subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL)
        moment = generator.randint(1, 40)
        while process.poll() is None and _stored(folder) < moment:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        before = {trial.number: trial for trial in load_result(folder).trials}
        result = simulate(**ASYNCHRONOUS, out=folder, trials=60, accuracy={"name": "simulated", "seconds": 0.02})
        assert_each_is_told_once(folder, 60)
        assert {number: result.trials[number] for number in before} == before, "what was stored stays"
    assert killed >= 1


def _stored(folder: Path) -> int:
    with contextlib.suppress(Exception), RunStorage.read(folder) as storage:  # it begins
        return len(storage.trials())
    return 0


_FULL = """
import resource
def watch(progress):
    if progress.counts.trials == 15:  # from here on no file grows: the disk is full
        size = max(path.stat().st_size for path in __import__("pathlib").Path(sys.argv[1]).glob("trials.sqlite*"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_stops_the_search_with_its_reason_and_it_resumes(simulate, tmp_path):
    script, folder = tmp_path / "search.py", tmp_path / "run"
    script.write_text(_FULL + _SEARCH.replace("workers=2", "workers=0, watch=watch"))
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "StorageError: cannot write to" in done.stderr
    assert "mnas resume" in done.stderr
    before = {trial.number: trial for trial in load_result(folder).trials}
    assert len(before) >= 15
    result = simulate(**ASYNCHRONOUS, out=folder, trials=60, accuracy={"name": "simulated", "seconds": 0.02})
    assert_each_is_told_once(folder, 60)
    assert {number: result.trials[number] for number in before} == before


def test_a_clock_that_is_set_ends_no_training(simulate, monkeypatch):
    """Limits go by monotonic time: an hour forth and an hour back are nothing to them."""
    true_time, jumps = time.time, iter([0, 3600, -3600] * 1000)
    monkeypatch.setattr("time.time", lambda: true_time() + next(jumps, 0))
    result = simulate(**ASYNCHRONOUS, workers=2, trials=10, limits={"time_s": 60})
    assert {t.state for t in result.trials} == {TrialState.COMPLETE}
    assert all(0 <= t.train_seconds < 60 and 0 <= t.measure_seconds < 60 for t in result.trials)
