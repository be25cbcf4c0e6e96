"""The suites fail where a part breaks a promise."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mnas.accuracy import AccuracyEstimate
from mnas.controllers import RandomSearch
from mnas.datasets import DigitsDataset, Part
from mnas.devices import DeviceInfo, SimulatedDevice
from mnas.executors import Limits, WorkerActivity
from mnas.objective import Latency
from mnas.space import Architecture, BlockChoices, BlockSpace, SearchSpace, Tokens
from mnas.testing import (
    ControllerConformance,
    DatasetConformance,
    DeviceConformance,
    EstimatorConformance,
    ExecutorConformance,
    SpaceConformance,
)
from mnas.trial import TrialState


def fails(test: Callable[..., object], *arguments: Any) -> None:
    broken = (AssertionError, pytest.fail.Exception, ValueError, AttributeError, pickle.PicklingError)
    with pytest.raises(broken):
        test(*arguments)


class GlobalDice(RandomSearch):
    """Draws from the global generator."""

    def ask(self, n: int) -> list[Tokens]:
        return [self._space.sample(random) for _ in range(n)]  # type: ignore[arg-type]


class BrokenController(RandomSearch):
    """Takes logarithms of rewards, summarizes in NaN, and proposes one too few."""

    def ask(self, n: int) -> list[Tokens]:
        return super().ask(n)[1:]

    def tell(self, trials: Any) -> Any:
        sum(math.log(trial.reward) for trial in trials)
        return {"best": math.nan}


class Forgetful(RandomSearch):
    """Proposes by how often it was asked in this process, which a replay does not repeat."""

    asked = 0

    def ask(self, n: int) -> list[Tokens]:
        Forgetful.asked += 1
        self._random.seed(Forgetful.asked)
        return super().ask(n)


def suite_of(make: Any) -> ControllerConformance:
    suite = ControllerConformance()
    suite.make = make  # type: ignore[method-assign]
    return suite


def test_a_controller_that_draws_from_global_generators_fails() -> None:
    suite = suite_of(GlobalDice)
    fails(suite.test_the_same_seed_gives_the_same_search)
    fails(suite.test_a_search_does_not_hang_on_the_process)
    fails(suite.test_global_state_is_left_alone)


def test_a_controller_that_cannot_be_replayed_fails() -> None:
    suite = suite_of(Forgetful)
    fails(suite.test_replay_ends_where_the_search_stood)
    fails(suite.test_an_ask_without_a_tell_is_replayed_alike)


def test_a_controller_that_miscounts_or_trips_over_failures_fails() -> None:
    suite = suite_of(BrokenController)
    fails(suite.test_proposals_are_in_range_in_every_space, RandomSpace().make())
    fails(suite.test_trials_of_every_state_are_learnt_from, TrialState.FAILED, False)
    fails(suite.test_summaries_are_small_plain_json)


class RandomSpace(SpaceConformance):
    def make(self) -> SearchSpace:
        return BlockSpace("sound", (BlockChoices(16, 1, 1, se_ratios=(0,)),))


class UnsoundSpace(BlockSpace):
    """Mutates nothing, counts wrong, encodes outsiders, and describes itself anew each time."""

    def mutate(self, tokens: Tokens, generator: random.Random) -> Tokens:
        return tokens

    def distinct_size(self) -> int:
        return super().distinct_size() + 1

    def encode(self, architecture: Architecture) -> Tokens:
        return (0,) * len(self.choices)

    def describe(self) -> dict[str, Any]:
        return {"made": id(self)}


def test_an_unsound_space_fails() -> None:
    suite = SpaceConformance()
    kept = [UnsoundSpace("unsound", (BlockChoices(16, 1, 1, se_ratios=(0,)),)) for _ in range(20)]
    suite.make = kept.pop  # type: ignore[method-assign]
    fails(suite.test_mutate_answers_exactly_one_choice_differently)
    fails(suite.test_sizes_are_consistent)
    fails(suite.test_decode_undoes_encode)
    fails(suite.test_outsiders_are_refused)
    fails(suite.test_the_description_is_plain_json_and_stable)


class UnsoundDevice(SimulatedDevice):
    """An interval beside its estimate, a fingerprint of each object, a constant, and a changed environment."""

    def info(self) -> DeviceInfo:
        return DeviceInfo("unsound", f"unsound {random.random()}")

    def measure(self, architecture: Architecture) -> Latency:
        return Latency(latency_ms=1.0, low_ms=2.0, high_ms=3.0, statistic="none", device="another")


def test_an_unsound_device_fails() -> None:
    suite = DeviceConformance()
    suite.make = UnsoundDevice  # type: ignore[method-assign]
    fails(suite.test_a_latency_lies_within_its_interval)
    fails(suite.test_the_fingerprint_names_the_device)
    fails(suite.test_a_much_larger_network_is_slower)

    class Meddler(SimulatedDevice):
        def measure(self, architecture: Architecture) -> Latency:
            random.random()
            return super().measure(architecture)

    suite.make = Meddler  # type: ignore[method-assign]
    fails(suite.test_measuring_changes_nothing_else)


class Percent:
    """An accuracy in percent that differs each time, of a task without a name, and cannot be pickled."""

    task = ""

    def __init__(self) -> None:
        self.draw = lambda: 100 * random.random()

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        return AccuracyEstimate(1 + self.draw())


def test_an_unsound_estimator_fails() -> None:
    suite = EstimatorConformance()
    suite.make = Percent  # type: ignore[method-assign]
    for test in (
        suite.test_an_accuracy_is_a_fraction,
        suite.test_the_same_seed_gives_the_same_accuracy,
        suite.test_it_can_be_pickled,
        suite.test_the_task_is_named,
    ):
        fails(test)


class Careless:
    """Runs jobs in threads, with all errors alike, and forgets its limits and who gave what."""

    workers, is_here, limits = 2, True, Limits()

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2)

    def submit(self, function: Callable[..., Any], *arguments: Any, key: int | None = None) -> Future[Any]:
        def work() -> Any:
            try:
                return function(*arguments)
            except Exception as error:
                raise RuntimeError(str(error)) from None

        return self._pool.submit(work)

    def activity(self) -> list[WorkerActivity]:
        return [WorkerActivity("thread", 99, 0.0, 0, 0.0)] * 2

    def close(self) -> None:
        self._pool.shutdown()


def test_a_careless_executor_fails(tmp_path: Path) -> None:
    suite = ExecutorConformance()
    suite.make = lambda limits: Careless()  # type: ignore[method-assign]
    fails(suite.test_it_says_what_it_is)
    fails(suite.test_each_job_gives_its_own_value)
    fails(suite.test_what_a_function_holds_goes_with_it)
    fails(suite.test_as_many_run_at_once_as_there_are_workers, tmp_path)
    fails(suite.test_a_candidate_that_fails_keeps_its_class_and_its_words)
    fails(suite.test_a_bug_is_raised_as_it_is_and_says_where)


class Leaking:
    """A data set whose validation images are training images, with a class that does not occur."""

    def __init__(self) -> None:
        self._digits = DigitsDataset(resolution=8)
        self.load = lambda: None  # cannot be pickled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._digits, name)

    @property
    def class_names(self) -> tuple[str, ...]:
        return (*self._digits.class_names, "ten")

    def split(self, part: Part) -> Any:
        return self._digits.split("trainval" if part == "validation" else part)


class Restarting:
    """A data set whose passes know nothing of `start`: a training that goes on would see its first images again."""

    def __getattr__(self, name: str) -> Any:
        return getattr(DigitsDataset(resolution=8), name)

    def split(self, part: Part) -> Any:
        return self

    def __len__(self) -> int:
        return len(DigitsDataset(resolution=8).split("train"))

    def batches(self, size: int, seed: int | None = None, start: int = 0, step: int = 1) -> Any:
        return DigitsDataset(resolution=8).split("train").batches(size, seed, step=step)


def test_a_data_set_that_does_not_start_in_the_middle_fails() -> None:
    suite = DatasetConformance()
    suite.make = Restarting  # type: ignore[method-assign]
    for seed in (None, 17):
        fails(suite.test_batches_of_a_pass_can_be_chosen, seed)


def test_a_data_set_that_leaks_fails() -> None:
    suite = DatasetConformance()
    suite.make = Leaking  # type: ignore[method-assign]
    fails(suite.test_splits_share_no_image)
    fails(suite.test_labels_are_indices_of_classes, "train")
    fails(suite.test_it_is_small_when_pickled)


@pytest.mark.parametrize(
    "suite", [SpaceConformance, ControllerConformance, DeviceConformance, DatasetConformance, EstimatorConformance]
)
def test_a_suite_without_make_says_so(suite: Any) -> None:
    arguments = (None, 0) if suite is ControllerConformance else ()
    with pytest.raises(NotImplementedError, match="give make"):
        suite().make(*arguments)
