"""Early stopping: what is likely to join the front is never stopped, and stopping is as repeatable as the rest."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.accuracy import AccuracyEstimate, ProxyTask, SimulatedAccuracy, StopBelow, is_stoppable
from mnas.cli._result_display import print_result
from mnas.config import parse_settings
from mnas.datasets import DigitsDataset
from mnas.errors import SettingsError, StorageError
from mnas.executors import ThreadExecutor
from mnas.folder import load_result
from mnas.objective import AbsoluteReward, Latency, Measurement, WeightedProduct
from mnas.plan import plan_from
from mnas.report import render_markdown
from mnas.space import Architecture
from mnas.stopping import Forecast, StoppingRule
from mnas.trial import Trial, TrialState

pytestmark = pytest.mark.usefixtures("no_report")

ANY = Architecture.parse("ds_r1_k3_s1_c16")
SOFT = WeightedProduct.soft(1.0)
DEVICE = "board"


def trial(number: int, latency_ms: float, *curve: float, state: TrialState = TrialState.COMPLETE) -> Trial:
    latency = Latency(latency_ms, latency_ms, latency_ms, "given", DEVICE)
    measurement = Measurement(0, 0, 0, latency, curve[-1], "given")
    return Trial(number, (), ANY, state, SOFT.reward(measurement), measurement, curve=curve)


def growing(count: int, seed: int = 0, noise: float = 0.01) -> list[Trial]:
    """Trials of four epochs: slower networks are better, early accuracies are half of the final ones, roughly."""
    generator = random.Random(seed)
    return [trial(n, *_network(generator, noise)) for n in range(count)]


def _network(generator: random.Random, noise: float) -> tuple[float, ...]:
    ms = generator.uniform(1, 3)
    final = 0.2 * ms + generator.uniform(0, 0.3)
    early, middle = 0.5 * final, 0.75 * final
    return ms, early + generator.gauss(0, noise), middle + generator.gauss(0, noise), 0.9 * final, final


RULE = StoppingRule(epochs=4)


# -- the rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "factor", "rungs"),
    [(12, 2, (1, 3, 6)), (12, 3, (1, 4)), (5, 2, (1, 2)), (6, 4, (1,)), (1, 2, ()), (3, 4, ())],
)
def test_the_rungs_are_epochs_divided_by_the_factor_again_and_again(epochs, factor, rungs):
    assert StoppingRule(epochs, factor).rungs == rungs


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"epochs": 0}, "epochs should be at least 1"),
        ({"factor": 1}, "factor should be at least 2"),
        ({"risk": 0.5}, "risk should be above 0 and below 0.5"),
        ({"first": 4}, "first should be at least 5"),
    ],
)
def test_settings_out_of_range_are_refused(setting, words):
    with pytest.raises(SettingsError, match=words):
        StoppingRule(**{"epochs": 4, **setting})


def test_something_is_stopped_once_enough_whole_curves_are_known():
    told = growing(12)
    assert not RULE.learn(told[:11], SOFT, DEVICE).below(3.0).thresholds
    below = RULE.learn(told, SOFT, DEVICE).below(3.0)
    assert [epoch for epoch, _ in below.thresholds] == [1, 2]
    assert below.stops(epoch=1, accuracy=0.05)
    assert not below.stops(epoch=3, accuracy=0.05)  # no rung


def test_trials_without_a_whole_curve_are_no_evidence():
    """Stopped, cached, failed and infeasible ones, and those of another device do not count among the first."""
    told = growing(12)
    others = [
        replace(told[-1], state=TrialState.STOPPED, curve=told[-1].curve[:2]),
        replace(told[-1], cached=True, curve=()),
        replace(told[-1], state=TrialState.FAILED, curve=()),
        replace(told[-1], curve=(None, 0.2, 0.3, 0.4)),
    ]
    for other in others:
        assert not RULE.learn([*told[:-1], other], SOFT, DEVICE).below(3.0).thresholds
    assert not RULE.learn(told, SOFT, "another board").below(3.0).thresholds


def test_what_nothing_told_is_as_quick_as_is_never_stopped():
    told = growing(40)
    quickest = min(t.latency_ms for t in told)
    evidence = RULE.learn(told, SOFT, DEVICE)
    assert not evidence.below(0.99 * quickest).thresholds
    assert evidence.below(quickest).thresholds


@pytest.mark.parametrize("curve", [(0.1, 0.2, 0.3, 0.9), (0.9, 0.9, 0.9, 0.9), (1.0, 1.0, 1.0, 1.0)])
def test_curves_that_are_all_alike_tell_nothing(curve):
    told = [trial(n, 1.0 + n, *curve) for n in range(20)]
    assert not RULE.learn(told, SOFT, DEVICE).below(30.0).thresholds


def test_early_accuracies_that_do_not_tell_the_final_ones_stop_nothing():
    """Of 200 draws in which they are independent, few find a slope: 5 % by chance, 16 of 200 has odds of 1 in 50."""
    generator = random.Random(0)
    found = 0
    for _ in range(200):
        pairs = [(generator.random(), generator.uniform(0.5, 0.9)) for _ in range(20)]
        found += Forecast.of(pairs, risk=0.05) is not None
    assert found <= 16


@settings(deadline=None)
@given(st.integers(0, 10_000), st.lists(st.floats(0.5, 4.0), min_size=2, max_size=5))
def test_the_thresholds_rise_with_the_place_on_the_front(seed, latencies):
    evidence = RULE.learn(growing(30, seed), SOFT, DEVICE)
    thresholds = [dict(evidence.below(ms).thresholds) for ms in sorted(latencies)]
    for lower, higher in pairwise(thresholds):
        assert all(higher[epoch] >= accuracy for epoch, accuracy in lower.items())


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_what_would_join_the_front_by_a_margin_is_never_stopped(seed):
    """Its curve is four standard deviations of the noise worse than usual, and its final accuracy above its place."""
    evidence = RULE.learn(growing(30, seed), SOFT, DEVICE)
    final = evidence.place(2.0) + 0.1
    below = evidence.below(2.0)
    assert not below.stops(1, 0.5 * final - 0.04)
    assert not below.stops(2, 0.75 * final - 0.04)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3, 4]))
def test_at_each_rung_at_most_the_worse_part_is_stopped(seed, factor):
    told = growing(40, seed)
    rule = StoppingRule(epochs=16, factor=factor)
    told = [replace(t, curve=tuple(t.curve[e // 4] for e in range(16))) for t in told]
    evidence = rule.learn(told, SOFT, DEVICE)
    others = [t for t in told if t not in evidence.front]  # whose place does not change by knowing themselves
    for epoch in rule.rungs:
        below = [dict(evidence.below(t.latency_ms).thresholds).get(epoch, 0.0) for t in others]
        stopped = sum(t.curve[epoch - 1] < least for t, least in zip(others, below, strict=True))
        assert stopped <= (1 - 1 / factor) * len(told)


def test_few_networks_that_join_the_front_are_stopped():
    """New networks as noisy as the known ones, one by one: of those that join the front at most 5 % are stopped."""
    joined = stopped_of_them = stopped = 0
    for seed in range(40):
        generator = random.Random(seed)
        evidence = RULE.learn(growing(40, seed, noise=0.03), SOFT, DEVICE)
        for number in range(100):
            new = trial(number, *_network(generator, 0.03))
            ends = any(evidence.below(new.latency_ms).stops(e, a) for e, a in enumerate(new.curve, start=1))
            joins = new.accuracy > evidence.place(new.latency_ms) if evidence.place(new.latency_ms) else True
            stopped, joined, stopped_of_them = stopped + ends, joined + joins, stopped_of_them + (ends and joins)
    assert stopped > 400  # of 4,000
    assert joined > 100
    assert stopped_of_them <= 0.05 * joined


def test_the_order_in_which_trials_finished_changes_nothing():
    told = growing(30)
    shuffled = random.Random(1).sample(told, len(told))
    assert RULE.learn(told, SOFT, DEVICE).below(2.0) == RULE.learn(shuffled, SOFT, DEVICE).below(2.0)


def test_where_the_reward_prefers_the_slower_the_quicker_does_not_stop_it():
    """TuNAS' reward below its target: a network that another dominates can still be the best."""
    told = growing(30)
    slow = AbsoluteReward(target_ms=10.0, beta=-5.0)
    assert RULE.learn(told, SOFT, DEVICE).place(3.5) == max(t.accuracy for t in told)
    assert RULE.learn(told, slow, DEVICE).place(3.5) is None
    assert RULE.learn(told, replace(slow, target_ms=0.5), DEVICE).place(3.5) == max(t.accuracy for t in told)


# -- the forecast ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.0, 1.0))
def test_what_is_needed_is_what_just_reaches(seed, final):
    forecast = Forecast.of([(t.curve[0], t.curve[-1]) for t in growing(20, seed)], risk=0.05)
    needed = forecast.needed(final)
    assert needed == 0 or forecast.highest(needed) == pytest.approx(final, abs=1e-6)


def test_the_bound_is_that_of_a_linear_regression():
    """statsmodels' formula, by scipy: at the mean of the early accuracies, and away from it."""
    x, y = [0.2, 0.5, 0.6, 0.9, 1.1, 1.2], [0.6, 0.7, 0.9, 1.0, 1.3, 1.2]
    unscaled = [(_squared_sine(a), _squared_sine(b)) for a, b in zip(x, y, strict=True)]
    line = scipy.stats.linregress(x, y)
    mean = sum(x) / 6
    spread = sum((a - mean) ** 2 for a in x)
    sd = (sum((b - line.intercept - line.slope * a) ** 2 for a, b in zip(x, y, strict=True)) / 4) ** 0.5
    for at in (mean, 0.3):
        width = scipy.stats.t.ppf(0.95, 4) * sd * (1 + 1 / 6 + (at - mean) ** 2 / spread) ** 0.5
        expected = _squared_sine(line.intercept + line.slope * at + width)
        assert Forecast.of(unscaled, 0.05).highest(_squared_sine(at)) == pytest.approx(expected, abs=1e-3)


def _squared_sine(value: float) -> float:
    return math.sin(value) ** 2


# -- a whole search -------------------------------------------------------------------------------------------------

STOPPING: dict[str, Any] = {"controller": {"name": "random", "batch": 5}, "stopping": {"use": True}, "trials": 40}


def test_trials_are_stopped_and_the_front_stays(simulate, curved_accuracy, tmp_path):
    """Random proposals are the same either way, so both searches meet the same networks."""
    stopped = simulate(accuracy=curved_accuracy, out=tmp_path / "a", **STOPPING)
    whole = simulate(accuracy=curved_accuracy, out=tmp_path / "b", **STOPPING | {"stopping": {"use": False}})
    assert 5 <= stopped.counts.stopped <= 28
    assert f"({stopped.counts.stopped} stopped early" in render_markdown(stopped.folder)
    assert "stopped early" not in render_markdown(whole.folder)
    assert stopped.counts.epochs == 4 * stopped.counts.distinct
    assert stopped.counts.epochs_saved == 4 * stopped.counts.distinct - sum(len(t.curve) for t in stopped.trials)
    assert (whole.counts.stopped, whole.counts.epochs_saved) == (0, 0)
    assert [t.number for t in stopped.front] == [t.number for t in whole.front]
    assert stopped.best.number == whole.best.number


def test_a_stopped_trial_says_what_it_was_when_it_was_stopped(simulate, curved_accuracy):
    result = simulate(accuracy=curved_accuracy, **STOPPING)
    trials = [t for t in result.trials if t.state is TrialState.STOPPED]
    for stopped in trials:
        whole = curved_accuracy.estimate(stopped.architecture, stopped.seed).curve
        assert stopped.curve == whole[: len(stopped.curve)] != whole
        assert stopped.accuracy == stopped.curve[-1]
        assert stopped.measurement.task == f"curved, stopped after {len(stopped.curve)} of 4 epochs"
        objective = WeightedProduct.soft(result.target_ms)
        assert stopped.reward == objective.reward(stopped.measurement)
        assert stopped.error is None
    numbers = {t.number for t in trials}
    assert not numbers & {t.number for t in result.front}
    assert result.best.number not in numbers


def test_a_person_and_a_program_see_what_was_stopped(simulate, curved_accuracy, capsys):
    result = simulate(accuracy=curved_accuracy, **STOPPING)
    print_result(result, as_json=False)
    share = 100 * result.counts.epochs_saved / result.counts.epochs
    assert f"({result.counts.stopped} stopped early, {share:.0f} % of epochs saved)" in capsys.readouterr().out
    print_result(result, as_json=True)
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert (counts["stopped"], counts["epochs_saved"]) == (result.counts.stopped, result.counts.epochs_saved)


def test_a_stopped_network_is_not_trained_when_it_is_proposed_again(simulate, curved_accuracy, tiny_space):
    result = simulate(accuracy=curved_accuracy, space=tiny_space, **STOPPING | {"trials": 150})
    originals = {t.architecture.id: t for t in result.trials if not t.cached}
    again = [t for t in result.trials if t.cached and t.state is TrialState.STOPPED]
    assert again
    assert all(t.reward == originals[t.architecture.id].reward and not t.curve for t in again)
    assert result.counts.stopped == sum(t.state is TrialState.STOPPED for t in originals.values())


@pytest.fixture
def recorded(curved_accuracy):
    """Makes the same accuracy, which notes what each training was told, and may be interrupted as by Ctrl-C."""
    told: dict[str, StopBelow | None] = {}

    class Recorded(type(curved_accuracy)):
        def __init__(self, estimates: int | None = None) -> None:
            self.left, self.told = estimates, told

        def estimate(
            self, architecture: Architecture, seed: int, stop_below: StopBelow | None = None
        ) -> AccuracyEstimate:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left = self.left and self.left - 1
            self.told[architecture.id] = stop_below
            return super().estimate(architecture, seed, stop_below)

    return Recorded


@pytest.mark.parametrize("controller", ["random", pytest.param("guided", marks=pytest.mark.slow)])
def test_resume_is_invisible_with_stopping(simulate, essence, tmp_path, recorded, controller):
    """Interrupted in the middle of batches and extended: the trials and thresholds of one search, bit for bit."""
    stopping = {"use": True, "first": 5, "factor": 4}
    parts = STOPPING | {"controller": {"name": controller, "batch": 5}, "stopping": stopping}
    whole = simulate(accuracy=recorded(), out=tmp_path / "whole", **parts)
    assert whole.counts.stopped
    told = dict(recorded().told)
    for estimates in (11, 7, 4, 5):  # after 1, 3, 2, 2 of a batch
        with pytest.raises(KeyboardInterrupt):
            simulate(accuracy=recorded(estimates), out=tmp_path / "parts", **parts | {"trials": 35})
    simulate(accuracy=recorded(), out=tmp_path / "parts", **parts | {"trials": 35})
    resumed = simulate(accuracy=recorded(), out=tmp_path / "parts", **parts)
    assert recorded().told == told
    assert [essence(t) for t in resumed.trials] == [essence(t) for t in whole.trials]


def test_which_training_of_a_batch_ends_first_changes_nothing(
    simulate, essence, tmp_path, curved_accuracy, monkeypatch
):
    class Backwards(ThreadExecutor):
        """The first of two trainings takes longer."""

        def __init__(self, limits: Any) -> None:
            super().__init__(2)

        def submit(self, function: Callable[..., Any], *arguments: Any, key: int | None = None) -> Any:
            return super().submit(slowly, function, arguments, 0.0 if (key or 0) % 2 else 0.02, key=key)

    def slowly(function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Any:
        time.sleep(seconds)
        return function(*arguments)

    forwards = simulate(accuracy=curved_accuracy, out=tmp_path / "a", **STOPPING)
    monkeypatch.setattr("mnas.executors.InProcessExecutor", Backwards)
    backwards = simulate(accuracy=curved_accuracy, out=tmp_path / "b", **STOPPING)
    assert [essence(t) for t in backwards.trials] == [essence(t) for t in forwards.trials]


def test_a_run_goes_on_only_with_the_stopping_it_was_begun_with(simulate, curved_accuracy):
    simulate(accuracy=curved_accuracy, **STOPPING)
    with pytest.raises(StorageError, match=r"stopping.risk: the run has 0.05, now it is 0.1"):
        simulate(accuracy=curved_accuracy, **STOPPING | {"stopping": {"use": True, "risk": 0.1}})
    with pytest.raises(StorageError, match=r"stopping.factor: the run has 2, now it is null"):
        simulate(accuracy=curved_accuracy, **STOPPING | {"stopping": {"use": False}})


# -- settings -------------------------------------------------------------------------------------------------------


def plan(**parts: Any) -> Any:
    data = {
        "dataset": {"name": "digits"},
        "space": {"name": "mnasnet", "resolution": 32},
        "device": {"name": "simulated"},
    }
    return plan_from(parse_settings(data | parts, "a test"))


@pytest.mark.parametrize(
    ("parts", "is_on"),
    [
        ({"controller": {"name": "guided"}}, True),
        ({"controller": {"name": "ppo"}}, False),
        ({"controller": {"name": "ppo"}, "stopping": {"use": True}}, True),
        ({"controller": {"name": "guided"}, "stopping": {"use": False}}, False),
        ({"controller": {"name": "guided"}, "accuracy": {"name": "simulated"}}, False),
        ({"controller": {"name": "guided"}, "accuracy": {"name": "proxy", "epochs": 1}}, False),
    ],
)
def test_it_is_on_where_guided_trains_and_where_it_is_asked_for(parts, is_on):
    made = plan(**parts)
    assert (made.stopping is not None) == is_on
    assert ("stopping.factor" in made.identity) == is_on
    assert not is_on or made.stopping.epochs == made.estimator.epochs


@pytest.mark.parametrize("accuracy", [{"name": "simulated"}, {"name": "proxy", "epochs": 1}])
def test_asked_for_where_it_cannot_be_it_is_refused(accuracy):
    with pytest.raises(SettingsError, match="trainings of at least 2 epochs"):
        plan(accuracy=accuracy, stopping={"use": True})


def test_a_wrong_key_is_refused_with_the_right_one():
    with pytest.raises(SettingsError, match=r"did you mean 'risk'"):
        plan(stopping={"risc": 0.1})


# -- trainings ------------------------------------------------------------------------------------------------------

SMALL = Architecture.parse("input_r8_c1 stem_k3_s1_c16 ds_r1_k3_s1_c16 ir_r2_k5_s2_e3_c24_se0.25 head_c64_n10")


def test_a_training_really_ends_and_was_the_whole_one_up_to_there():
    task = ProxyTask(DigitsDataset(resolution=8), epochs=4)
    whole = task.estimate(SMALL, seed=3)
    stopped = task.estimate(SMALL, seed=3, stop_below=StopBelow(((1, 0.0), (2, 1.1))))
    assert stopped == AccuracyEstimate(whole.curve[1], whole.curve[:2], stopped.seconds, stopped=True)
    assert not whole.stopped
    assert task.estimate(SMALL, seed=3, stop_below=StopBelow(((2, 0.0),))).curve == whole.curve


def test_who_can_stop_says_so():
    class HasEpochs(SimulatedAccuracy):
        epochs = 3

    assert is_stoppable(ProxyTask(DigitsDataset(resolution=8)))
    assert not is_stoppable(SimulatedAccuracy())
    assert not is_stoppable(HasEpochs())


SMALL_SPACE = {
    "name": "blocks",
    "resolution": 8,
    "blocks": [{"filters": 8, "layers": 1, "stride": 1}, {"filters": 16, "layers": 2, "stride": 2}],
    "choices": {
        "ops": ["sepconv", "mbconv3"],
        "kernels": [3, 5],
        "se_ratios": [0],
        "skips": ["identity"],
        "filter_ratios": [0.5, 1],
        "layer_deltas": [0, 1],
    },
}


@pytest.mark.slow
def test_a_search_that_trains_stops_trainings(simulate, essence, tmp_path):
    """Digits, four epochs: stopped ones have shorter curves, and worker processes stop the same ones."""
    parts = {
        "space": SMALL_SPACE,
        "accuracy": {"name": "proxy", "epochs": 4, "learning_rate": 0.05},
        "dataset": {"name": "digits", "resolution": 8},
        "stopping": {"use": True, "first": 5, "risk": 0.4},
        "controller": {"name": "random", "batch": 5},
        "trials": 20,
    }
    result = simulate(out=tmp_path / "a", **parts)
    assert result.counts.stopped > 0
    assert load_result(tmp_path / "a").counts == result.counts
    workers = simulate(out=tmp_path / "b", workers=2, **parts)
    assert [essence(t) for t in workers.trials] == [essence(t) for t in result.trials]
