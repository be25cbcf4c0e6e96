"""Promises of the loop: resume is invisible, one candidate costs one trial, nothing paid for is lost."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy
from mnas.devices import DeviceInfo, SimulatedDevice
from mnas.errors import (
    DeviceError,
    MeasurementError,
    SettingsError,
    StopError,
    StorageError,
    TrainingError,
)
from mnas.folder import load_result
from mnas.objective import Caps, Energy, Latency, WeightedProduct
from mnas.run import resume
from mnas.space import Architecture, count_madds, count_params
from mnas.storage import RunStorage
from mnas.trial import TrialState

pytestmark = pytest.mark.usefixtures("no_report")


def test_the_same_seed_gives_the_same_search(simulate, essence, tmp_path):
    first = simulate(out=tmp_path / "a")
    second = simulate(out=tmp_path / "b")
    other = simulate(out=tmp_path / "c", seed=1)
    assert [essence(t) for t in first.trials] == [essence(t) for t in second.trials]
    assert [t.tokens for t in first.trials] != [t.tokens for t in other.trials]


@pytest.mark.parametrize(
    "controller",
    ["ppo", "reinforce", "evolution", "random", "local", "nsga2",
     *(pytest.param(name, marks=pytest.mark.slow) for name in ("guided", "optuna"))],
)  # fmt: skip
def test_an_extended_run_is_the_longer_run(simulate, essence, tmp_path, controller):
    """Every controller stands after a replay where it stood; 40 trials are 20 and then 20 more."""
    part = {"name": controller, "batch": 5}
    whole = simulate(out=tmp_path / "whole", controller=part, trials=40)
    simulate(out=tmp_path / "parts", controller=part, trials=20)
    extended = simulate(out=tmp_path / "parts", controller=part, trials=40)
    assert [essence(t) for t in extended.trials] == [essence(t) for t in whole.trials]


def test_fewer_trials_than_were_proposed_are_those_that_were_proposed(simulate, tmp_path):
    """A run that is resumed with fewer ends with what it has."""
    simulate(out=tmp_path / "run", trials=20)
    result = simulate(out=tmp_path / "run", trials=8)
    assert len(result.trials) == 20
    assert any("trials = 8 is fewer than the 20 that were proposed already" in note for note in result.notes)
    assert not any("were left" in note for note in result.notes)


@pytest.mark.slow
def test_a_search_starts_from_another_s_trials_and_keeps_them(simulate, essence, tmp_path):
    """They are copied: resuming needs the other run no more, whatever became of it."""
    guided = {"name": "guided", "batch": 5, "initial": 5}
    simulate(out=tmp_path / "other", controller=guided, trials=30)
    warm = guided | {"warm_start": str(tmp_path / "other")}
    whole = simulate(out=tmp_path / "whole", controller=warm, seed=1, trials=20)
    cold = simulate(out=tmp_path / "cold", controller=guided, seed=1, trials=20)
    assert [t.tokens for t in whole.trials] != [t.tokens for t in cold.trials]
    simulate(out=tmp_path / "part", controller=warm, seed=1, trials=10)
    shutil.rmtree(tmp_path / "other")
    resumed = resume(tmp_path / "part", lambda progress: None, trials=20)
    assert [essence(t) for t in resumed.trials] == [essence(t) for t in whole.trials]


def test_a_start_from_another_space_or_nothing_is_refused(simulate, tmp_path):
    simulate(out=tmp_path / "other", trials=5, space={"name": "mnasnet", "width": 0.5})
    with pytest.raises(SettingsError, match=r"space.width: it has 0.5, here it is 1.0"):
        simulate(controller={"name": "guided", "warm_start": str(tmp_path / "other")})
    with pytest.raises(StorageError, match="is not a run folder"):
        simulate(controller={"name": "guided", "warm_start": str(tmp_path / "nothing")})
    with pytest.raises(SettingsError, match="unknown key for controller 'random': 'warm_start'"):
        simulate(controller={"name": "random", "warm_start": str(tmp_path / "other")})


class StopsAfter:
    """Simulated accuracy that is interrupted at the nth estimate, as by Ctrl-C."""

    task = SimulatedAccuracy().task

    def __init__(self, estimates: int) -> None:
        self.left = estimates

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return SimulatedAccuracy().estimate(architecture, seed)


@pytest.mark.parametrize("estimates", [0, 1, 7, 10, 19])
def test_resume_is_invisible(simulate, essence, tmp_path, estimates):
    whole = simulate(out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        simulate(out=tmp_path / "stopped", accuracy=StopsAfter(estimates))
    assert len(load_result(tmp_path / "stopped").trials) == estimates
    resumed = simulate(out=tmp_path / "stopped")
    assert [essence(t) for t in resumed.trials] == [essence(t) for t in whole.trials]


def test_what_was_interrupted_took_its_time_too(simulate, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        simulate(accuracy=StopsAfter(10), out=tmp_path / "run")
    stopped = load_result(tmp_path / "run").seconds
    assert stopped > 0
    assert simulate(out=tmp_path / "run").seconds > stopped


def test_an_architecture_is_never_trained_again(simulate, tiny_space, counting_accuracy):
    result = simulate(space=tiny_space, accuracy=counting_accuracy, trials=150, controller="random")
    assert len(set(counting_accuracy.asked)) == len(counting_accuracy.asked) == result.counts.distinct
    assert result.counts.cached == 150 - result.counts.distinct > 0
    for trial in result.trials:
        if trial.cached:
            original = next(t for t in result.trials if t.architecture == trial.architecture and not t.cached)
            assert (trial.reward, trial.state) == (original.reward, original.state)
            assert original.number < trial.number


class FailsSometimes:
    task = "fails sometimes"

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        if int(architecture.id, 16) % 3 == 0:
            raise TrainingError("loss became NaN at epoch 2")
        return AccuracyEstimate(0.5)


def test_a_training_that_fails_costs_one_trial(simulate):
    result = simulate(accuracy=FailsSometimes(), trials=30)
    failed = [t for t in result.trials if t.state is TrialState.FAILED]
    assert failed
    assert len(result.trials) == 30
    assert {t.error for t in failed} == {"loss became NaN at epoch 2"}
    assert all(t.reward == 0 and t.accuracy is None and t.latency_ms for t in failed)
    assert not set(failed) & set(result.front)


class PickyDevice(SimulatedDevice):
    def measure(self, architecture: Architecture) -> Latency:
        if int(architecture.id, 16) % 4 == 0:
            raise MeasurementError("outputs differ from torch's by 0.3")
        return super().measure(architecture)


def test_a_measurement_that_fails_costs_one_trial(simulate):
    result = simulate(device=PickyDevice(), trials=30)
    failed = [t for t in result.trials if t.state is TrialState.FAILED]
    assert failed
    assert all("outputs differ" in (t.error or "") and t.latency_ms is None for t in failed)


def test_what_is_above_a_cap_is_never_trained(simulate, counting_accuracy):
    caps = Caps(max_latency_ms=22.0)
    objective = WeightedProduct.soft(20.0, caps)
    result = simulate(objective=objective, accuracy=counting_accuracy, trials=30)
    infeasible = [t for t in result.trials if t.state is TrialState.INFEASIBLE]
    assert infeasible
    assert not {t.architecture.id for t in infeasible} & set(counting_accuracy.asked)
    assert all("above the cap of 22 ms" in (t.error or "") for t in infeasible)


def test_what_a_count_rules_out_is_not_measured(simulate):
    class Counted(SimulatedDevice):
        def __init__(self) -> None:
            self.measured: list[Architecture] = []

        def measure(self, architecture: Architecture) -> Latency:
            self.measured.append(architecture)
            return super().measure(architecture)

    device = Counted()
    result = simulate(device=device, objective={"reward": "soft", "max_params": 3.5e6}, trials=30)
    infeasible = [t for t in result.trials if t.state is TrialState.INFEASIBLE]
    assert infeasible
    assert not {t.architecture for t in infeasible} & set(device.measured[16:])  # 16 told what the space reaches


class Converting(SimulatedDevice):
    """The simulated device, with a file of four bytes per parameter and an energy of a microjoule per MAdd."""

    def measure(self, architecture: Architecture) -> Latency:
        millijoules = count_madds(architecture) / 1e6
        return replace(
            super().measure(architecture),
            environment={"model_bytes": 4 * count_params(architecture)},
            energy=Energy(millijoules, millijoules, millijoules, "formula"),
        )


@pytest.mark.parametrize(
    ("cap", "value", "said"),
    [
        ("max_memory_mb", 5.0, "activation memory"),
        ("max_file_mb", 14.0, "file size"),
        ("max_energy_mj", 330.0, "energy"),
    ],
)
@pytest.mark.parametrize("controller", ["random", "guided"])
def test_what_is_above_a_cap_on_memory_file_or_energy_is_never_trained(
    simulate, counting_accuracy, cap, value, said, controller
):
    part = {"name": controller, "batch": 5} | ({"initial": 5} if controller == "guided" else {})
    caps = {"reward": "soft", cap: value}
    result = simulate(device=Converting(), objective=caps, accuracy=counting_accuracy, controller=part, trials=30)
    infeasible = [t for t in result.trials if t.state is TrialState.INFEASIBLE]
    assert infeasible
    assert not {t.architecture.id for t in infeasible} & set(counting_accuracy.asked)
    assert all(f"{said} " in (t.error or "") and f"above the cap of {value:g}" in (t.error or "") for t in infeasible)
    assert all((t.latency_ms is None) == (cap == "max_memory_mb") for t in infeasible)  # a count needs no device


@pytest.mark.parametrize("cap", ["max_file_mb", "max_energy_mj"])
def test_a_cap_on_what_the_device_does_not_tell_is_refused(simulate, counting_accuracy, cap):
    with pytest.raises(SettingsError, match=f"{cap} cannot be kept on 'simulated formula 1'"):
        simulate(objective={"reward": "soft", cap: 10.0}, accuracy=counting_accuracy)
    assert counting_accuracy.asked == []


class AlwaysFails:
    task = "always fails"

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        raise TrainingError("no GPU left")


def test_a_failure_of_everything_stops_the_search_with_its_reason(simulate):
    with pytest.raises(StopError, match="no GPU left"):
        simulate(accuracy=AlwaysFails())


def test_a_wrong_setting_inside_a_job_stops_the_search(simulate):
    class Broken:
        task = "broken"

        def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
            raise SettingsError("the data set has no classes")

    with pytest.raises(SettingsError, match="no classes"):
        simulate(accuracy=Broken())


def test_a_device_that_comes_back_is_waited_for(simulate, monkeypatch):
    monkeypatch.setattr("mnas.evaluator._DEVICE_WAITS", (0.0, 0.0))

    class Flaky(SimulatedDevice):
        calls = 0

        def measure(self, architecture: Architecture) -> Latency:
            self.calls += 1
            if self.calls % 3:
                raise DeviceError("unplugged")
            return super().measure(architecture)

    assert simulate(device=Flaky()).counts.failed == 0


def test_a_device_that_stays_away_stops_the_search_and_it_resumes(simulate, essence, tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.evaluator._DEVICE_WAITS", (0.0,))

    class Unplugged(SimulatedDevice):
        left = 30

        def measure(self, architecture: Architecture) -> Latency:
            self.left -= 1
            if self.left < 0:
                raise DeviceError("unplugged")
            return super().measure(architecture)

    with pytest.raises(DeviceError, match="unplugged"):
        simulate(device=Unplugged(), out=tmp_path / "run")
    resumed = simulate(out=tmp_path / "run")
    whole = simulate(out=tmp_path / "whole")
    assert [essence(t) for t in resumed.trials] == [essence(t) for t in whole.trials]


def test_a_measurement_is_stored_when_it_is_made(simulate, tmp_path):
    """A search that is stopped before its first training keeps what it measured."""
    measured: list[str] = []

    class Watched(SimulatedDevice):
        def measure(self, architecture: Architecture) -> Latency:
            measured.append(architecture.id)
            return super().measure(architecture)

    with pytest.raises(KeyboardInterrupt):
        simulate(device=Watched(), accuracy=StopsAfter(0), out=tmp_path / "run")
    before = len(measured)
    simulate(device=Watched(), out=tmp_path / "run")
    assert before == 16 + 5
    assert len(set(measured)) == len(measured)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: the run has 0, now it is 1"),
        ({"space": {"name": "mnasnet", "width": 0.5}}, "space.width: the run has 1.0, now it is 0.5"),
        ({"controller": {"name": "evolution", "batch": 5}}, 'controller.name: the run has "ppo"'),
        ({"controller": {"name": "ppo", "batch": 4}}, "controller.batch: the run has 5, now it is 4"),
        ({"objective": "hard"}, "objective.alpha: the run has -0.07, now it is 0.0"),
        ({"dataset": {"name": "digits", "split_seed": 1}}, "dataset.split_seed: the run has null, now it is 1"),
    ],
)
def test_a_run_folder_of_something_else_is_refused_with_the_difference_named(simulate, change, named):
    simulate()
    with pytest.raises(StorageError) as refused:
        simulate(**change)
    assert named in str(refused.value)


def test_a_run_with_parts_from_python_goes_on_there_and_says_so_elsewhere(simulate, counting_accuracy):
    first = simulate(accuracy=counting_accuracy, objective=WeightedProduct.hard(20.0, Caps(max_params=5e6)))
    with pytest.raises(SettingsError, match=r"accuracy of this search is an object of .*CountingAccuracy"):
        resume(first.folder, lambda progress: None, trials=25)
    again = {"accuracy": counting_accuracy, "objective": WeightedProduct.hard(20.0, Caps(max_params=5e6))}
    assert len(simulate(**again, trials=25).trials) == 25


def test_an_objective_from_python_is_settings_like_any_other(simulate):
    first = simulate(objective=WeightedProduct.hard(20.0, Caps(max_params=5e6)))
    assert len(resume(first.folder, lambda progress: None, trials=25).trials) == 25


def test_another_target_is_refused(simulate):
    result = simulate()
    with pytest.raises(StorageError, match="begun with target_ms"):
        simulate(objective={"reward": "soft", "target_ms": result.target_ms + 1})


def test_a_target_out_of_reach_is_refused_with_the_range(simulate):
    with pytest.raises(SettingsError, match=r"target_ms 0.5 is out of reach: .* take \d"):
        simulate(objective={"reward": "soft", "target_ms": 0.5})


def test_caps_that_nothing_satisfies_are_refused(simulate):
    with pytest.raises(SettingsError, match=r"within the caps: .*above the cap of 0.1 ms"):
        simulate(objective={"reward": "soft", "max_latency_ms": 0.1})


class OtherDevice(SimulatedDevice):
    def info(self) -> DeviceInfo:
        return DeviceInfo("simulated", "another board")

    def measure(self, architecture: Architecture) -> Latency:
        ms = 2 * super().measure(architecture).latency_ms
        return Latency(ms, ms, ms, "formula", "another board")


def test_another_device_is_refused_unless_the_front_is_measured_again(simulate, tmp_path):
    from mnas.plan import plan_from
    from mnas.run import run_plan, stored_settings

    before = simulate()
    plan = plan_from(stored_settings(before.folder), {"device": OtherDevice()})
    with pytest.raises(StorageError, match=r"another device.*\n.*\n.*another board.*\n.*--remeasure"):
        run_plan(plan, before.folder, lambda progress: None)
    after = run_plan(plan, before.folder, lambda progress: None, remeasure=True)
    assert after.device == "another board"
    assert [t.number for t in after.front] == [t.number for t in before.front]
    assert all(a.latency_ms == 2 * b.latency_ms for a, b in zip(after.front, before.front, strict=True))


def test_other_versions_are_noted(simulate):
    first = simulate()
    with RunStorage.create(first.folder, {**_identity(first.folder)}) as storage:
        storage.set_meta("versions", {**storage.meta("versions"), "numpy": "0.9"})
    assert any(note.startswith("numpy was 0.9") for note in simulate().notes)


def _identity(folder: Path) -> dict[str, Any]:
    with RunStorage.read(folder) as storage:
        identity: dict[str, Any] = storage.meta("identity")
        return identity


# -- killed at any instant ------------------------------------------------------------------------------------

_SEARCH = """
import sys
import mnas
mnas.search(device="simulated", accuracy={"name": "simulated", "seconds": 0.01}, dataset=None,
            controller={"name": "ppo", "batch": 8}, trials=48, workers=%d, final={"top": 0}, out=sys.argv[1])
"""


def _kill_and_resume(folder: Path, after: float, workers: int) -> bool:
    """Run the search, SIGKILL it after some seconds; True if it was still running."""
    process = subprocess.Popen([sys.executable, "-c", _SEARCH % workers, str(folder)], stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


@pytest.mark.parametrize(
    "kills",
    [1, pytest.param(20, marks=pytest.mark.slow)],
)
def test_a_search_killed_at_random_moments_ends_with_the_same_trials(simulate, essence, tmp_path, kills):
    """SIGKILL of the driver, each time at another moment of the same run; then it is resumed to its end."""
    generator = random.Random(kills + 2)
    accuracy = {"name": "simulated", "seconds": 0.01}
    common = {"accuracy": accuracy, "controller": {"name": "ppo", "batch": 8}, "trials": 48}
    began = time.monotonic()
    process = subprocess.run([sys.executable, "-c", _SEARCH % 0, str(tmp_path / "timed")], check=True)
    assert process.returncode == 0
    whole_seconds = time.monotonic() - began
    whole = load_result(tmp_path / "timed")
    killed = 0
    for number in range(kills):
        folder = tmp_path / f"killed{number}"
        killed += _kill_and_resume(folder, generator.uniform(0.3, 1.0) * whole_seconds, workers=0)
        resumed = simulate(out=folder, **common)
        assert [essence(t) for t in resumed.trials] == [essence(t) for t in whole.trials]
    assert killed >= 1
