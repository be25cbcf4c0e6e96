"""The controller `guided`: the conformance suite, what it proposes and what it makes of trials of every state."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mnas.accuracy import SurrogateAccuracy
from mnas.controllers import Controller, Guided
from mnas.devices import SurrogateDevice
from mnas.errors import SettingsError
from mnas.objective import Caps, Measurement, WeightedProduct
from mnas.pareto import hypervolume
from mnas.space import (
    Architecture,
    BlockChoices,
    BlockSpace,
    Choice,
    Head,
    SearchSpace,
    Stem,
    Tokens,
    accel_nasbench_space,
    count_params,
    mnasnet_space,
)
from mnas.testing import ControllerConformance, simulated_trial
from mnas.trial import Trial, TrialState

SPACE = mnasnet_space()
IMAGENET = accel_nasbench_space()
SOFT = WeightedProduct.soft(target_ms=20)


class TestGuided(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        # An initial design that is over within the rounds of the suite, so that guided proposals are compared too.
        return Guided(space, seed, objective=SOFT, initial=8)


class TestGuidedByRewards(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        return Guided(space, seed, initial=8)


class TestGuidedToTheFront(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        return Guided(space, seed, goal="front", initial=8)


def searched(controller: Guided, trials: int, space: SearchSpace = SPACE) -> list[Trial]:
    told: list[Trial] = []
    while len(told) < trials:
        batch = [
            simulated_trial(space, len(told) + i, tokens, objective=SOFT)
            for i, tokens in enumerate(controller.ask(controller.batch))
        ]
        controller.tell(batch)
        told += batch
    return told


def imagenet_trials(proposals: Sequence[Tokens], start: int, objective: WeightedProduct) -> list[Trial]:
    device, accuracy = SurrogateDevice("zcu102"), SurrogateAccuracy()
    trials = []
    for number, tokens in enumerate(proposals, start=start):
        architecture = IMAGENET.decode(tokens)
        latency, found = device.measure(architecture), accuracy.estimate(architecture, seed=0).accuracy
        measurement = Measurement(1, 1, 4, latency, found, "task")
        reward = objective.reward(measurement)
        trials.append(Trial(number, tokens, architecture, TrialState.COMPLETE, reward, measurement))
    return trials


def noisy(trial: Trial, objective: WeightedProduct, generator: random.Random) -> Trial:
    assert trial.accuracy is not None
    measurement = dataclasses.replace(trial.measurement, accuracy=trial.accuracy + 0.01 * generator.gauss(0, 1))
    return dataclasses.replace(trial, measurement=measurement, reward=objective.reward(measurement))


def imagenet_search(controller: Guided, trials: int, objective: WeightedProduct) -> list[Trial]:
    told: list[Trial] = []
    while len(told) < trials:
        batch = imagenet_trials(controller.ask(5), len(told), objective)
        controller.tell(batch)
        told += batch
    return told


@pytest.mark.slow
def test_in_eighty_trials_it_beats_what_thousands_of_random_ones_find() -> None:
    """On the shipped ImageNet surrogates: 80 guided trials against 20,000 random networks, all evaluated."""
    objective = WeightedProduct.soft(target_ms=7)
    told = imagenet_search(Guided(IMAGENET, 0, objective=objective), 80, objective)
    generator = random.Random(1)
    tokens = [IMAGENET.sample(generator) for _ in range(20_000)]
    accuracies = SurrogateAccuracy().predict_tokens(tokens)[0]
    latencies = SurrogateDevice("zcu102").predict_tokens(tokens)[0]
    random_best = max(map(objective.score, accuracies.tolist(), latencies.tolist()))
    assert max(trial.reward for trial in told) > random_best


@pytest.mark.slow
def test_a_search_for_the_front_dominates_more_than_one_for_a_reward() -> None:
    """Hypervolume after 60 trials on the ImageNet surrogates; and the predicted front is told by rising latency."""
    objective = WeightedProduct.soft(target_ms=7)
    wide, narrow = Guided(IMAGENET, 0, goal="front"), Guided(IMAGENET, 0, objective=objective)
    volumes = []
    for controller in (wide, narrow):
        told = imagenet_search(controller, 60, objective)
        volumes.append(hypervolume([(t.latency_ms or 0, t.accuracy or 0) for t in told], (23, 0.5)))
    assert volumes[0] > volumes[1]
    latencies = [trial.latency_ms or 0 for trial in wide.front()]
    assert len(latencies) > 5
    assert latencies == sorted(latencies)


@pytest.mark.slow
def test_both_goals_take_turns() -> None:
    """More front than a search for the reward has, more reward than a search for the front, after 90 trials."""
    objective = WeightedProduct.hard(target_ms=7)
    found = {}
    for goal in ("front", "both", "reward"):
        told = imagenet_search(Guided(IMAGENET, 0, objective=objective, goal=goal), 90, objective)  # type: ignore[arg-type]
        area = hypervolume([(t.latency_ms or 0, t.accuracy or 0) for t in told], (23, 0.5))
        found[goal] = (area, max(trial.reward for trial in told))
    assert found["both"][0] > found["reward"][0]
    assert found["both"][1] >= found["front"][1]


def known(tokens: Any) -> Any:
    return SurrogateAccuracy().predict_tokens(tokens)[0]


def test_accuracies_that_are_known_are_not_learnt() -> None:
    """With latency alone to learn, 40 trials find more than 40 that learn both."""
    objective = WeightedProduct.hard(target_ms=7)
    controllers = (
        Guided(IMAGENET, 0, objective=objective, known_accuracy=known),
        Guided(IMAGENET, 0, objective=objective),
    )
    few, many = imagenet_search(controllers[0], 40, objective), imagenet_search(controllers[1], 40, objective)
    assert max(trial.reward for trial in few) > max(trial.reward for trial in many)
    predicted = controllers[0].predict([trial.architecture for trial in few])["accuracy"][0]
    assert predicted.tolist() == [trial.accuracy for trial in few]


@pytest.mark.slow
def test_levels_are_reached_faster() -> None:
    """At each level the fastest network is faster than that of a search which does not know the levels."""
    objective, levels = WeightedProduct.hard(target_ms=7), (0.62, 0.66)
    least = []
    for given in (levels, ()):
        controller = Guided(IMAGENET, 0, objective=objective, levels=given, known_accuracy=known)
        told = imagenet_search(controller, 80, objective)
        least.append([min(t.latency_ms or 0 for t in told if (t.accuracy or 0) >= level) for level in levels])
    assert all(with_levels < without for with_levels, without in zip(*least, strict=True))


def test_no_network_is_proposed_twice() -> None:
    trials = searched(Guided(SPACE, 0, objective=SOFT), 60)
    assert len({trial.architecture.id for trial in trials}) == 60


def test_what_was_told_without_being_asked_is_not_proposed() -> None:
    space = tiny_space()
    controller = Guided(space, 0, initial=5)
    told = [simulated_trial(space, i, (i % 4, i // 4)) for i in range(8)]  # half of the sixteen
    controller.tell(told)
    proposed = {space.decode(tokens).id for tokens in controller.ask(8)}
    assert len(proposed) == 8
    assert not proposed & {trial.architecture.id for trial in told}


def test_tokens_that_mean_a_known_network_are_not_proposed() -> None:
    """A skip that cannot apply is no other network: 24 token tuples, eight networks."""
    row = BlockChoices(16, 1, 2, ("sepconv", "conv"), (3, 5, 7, 9), (0,), ("none", "identity", "pool"), (1,), (0,))
    space = BlockSpace("strided", (row,), stem=Stem(filters=8), head=Head(16, 4), resolution=32)
    assert (space.size(), space.distinct_size()) == (24, 8)
    assert len({trial.architecture.id for trial in searched(Guided(space, 0, initial=5, batch=1), 8, space)}) == 8


def test_a_space_that_is_exhausted_is_proposed_again() -> None:
    """Each of its sixteen networks once, and only then again."""
    space = tiny_space()
    controller = Guided(space, 0, initial=5)
    first = {trial.architecture.id for trial in searched(controller, 15, space)}
    rest = [space.decode(tokens).id for tokens in controller.ask(3)]
    assert len(first) == 15
    assert rest[0] not in first
    assert set(rest[1:]) <= first | {rest[0]}


@pytest.mark.parametrize("goal", ["reward", "front"])
def test_the_number_of_blas_threads_changes_nothing(goal: str) -> None:
    courses = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            controller = Guided(SPACE, 4, objective=SOFT, goal=goal, initial=10)  # type: ignore[arg-type]
            courses.append([trial.tokens for trial in searched(controller, 30)])
    assert courses[0] == courses[1]


def test_predictions_hold_for_networks_that_were_not_told() -> None:
    """Of 100 random networks after 80 trials: in the right order, and in the unit that is said."""
    controller = Guided(SPACE, 0, objective=SOFT, initial=60)
    searched(controller, 80)
    generator = random.Random(7)
    others = [simulated_trial(SPACE, i, SPACE.sample(generator)) for i in range(100)]
    found = controller.predict([trial.architecture for trial in others])
    true = {"accuracy": [t.accuracy for t in others], "log_latency": np.log([t.latency_ms or 0 for t in others])}
    assert list(found) == ["accuracy", "log_latency"]
    for name, (means, sds) in found.items():
        assert means.shape == sds.shape == (100,)
        assert np.corrcoef(means, np.array(true[name], dtype=float))[0, 1] > 0.9
        assert (sds > 0).all()


def test_tokens_and_architectures_are_predicted_alike() -> None:
    controller = Guided(SPACE, 0, initial=10)
    trials = searched(controller, 15)
    by_tokens = controller.predict([SPACE.encode(trial.architecture) for trial in trials])["reward"]
    by_architecture = controller.predict([trial.architecture for trial in trials])["reward"]
    np.testing.assert_array_equal(by_tokens[0], by_architecture[0])


def test_the_winner_has_the_best_prediction_not_the_best_luck() -> None:
    """In searches with a noise of 1 point these are different networks in at least one of four."""
    objective, differ = WeightedProduct.soft(target_ms=7), []
    for seed in range(4):
        generator, controller = random.Random(seed), Guided(IMAGENET, seed)
        told: list[Trial] = []
        while len(told) < 100:
            true = imagenet_trials(controller.ask(20), len(told), objective)
            told += [noisy(trial, objective, generator) for trial in true]
            controller.tell(told[-20:])
        winner, luckiest = controller.best(), max(told, key=lambda trial: trial.reward)
        assert winner is not None
        assert winner.number == int(np.argmax(controller.predict([trial.tokens for trial in told])["reward"][0]))
        differ.append(winner.number != luckiest.number)
    assert any(differ), differ


def test_a_stopped_trial_is_not_read_as_its_last_accuracy() -> None:
    """A stopped network at next to no accuracy lowers what is expected of it, but not to that."""
    controller = Guided(SPACE, 0, objective=SOFT, initial=20)
    trials = searched(controller, 40)
    tokens = controller.ask(1)[0]
    before = float(controller.predict([tokens])["accuracy"][0][0])
    trial = simulated_trial(SPACE, 40, tokens, TrialState.STOPPED)
    stopped = dataclasses.replace(trial, measurement=dataclasses.replace(trial.measurement, accuracy=0.01))
    controller.tell([stopped])
    after = float(controller.predict([tokens])["accuracy"][0][0])
    lowest = min(trial.accuracy or 0 for trial in trials)
    assert lowest < after <= before


@pytest.mark.slow
def test_it_keeps_away_from_what_fails() -> None:
    """Where each network with a conv in block 1 fails, few later proposals have one; by chance a quarter would."""
    controller = Guided(SPACE, 0, objective=SOFT)
    proposed: list[Tokens] = []
    while len(proposed) < 90:
        batch = controller.ask(5)
        states = [TrialState.FAILED if tokens[0] == 0 else TrialState.COMPLETE for tokens in batch]
        controller.tell(
            [simulated_trial(SPACE, len(proposed) + i, batch[i], states[i], objective=SOFT) for i in range(5)]
        )
        proposed += batch
    assert sum(tokens[0] == 0 for tokens in proposed[-50:]) <= 3


def test_failures_far_below_change_no_prediction() -> None:
    """Rewards of failed trials are not looked at: minus a million would wreck any model."""
    plain, failed = (Guided(SPACE, 0, initial=10) for _ in range(2))
    trials = searched(plain, 20)
    failed.tell(trials)
    plain_again = Guided(SPACE, 0, initial=10)
    plain_again.tell(trials)
    other = simulated_trial(SPACE, 20, SPACE.sample(random.Random(3)), TrialState.FAILED)
    failed.tell([dataclasses.replace(other, reward=-1e6)])
    networks = [trial.tokens for trial in trials]
    np.testing.assert_allclose(
        failed.predict(networks)["reward"][0], plain_again.predict(networks)["reward"][0], rtol=1e-9
    )


def test_a_cap_on_parameters_is_kept_without_trying() -> None:
    """What is too large by count is known before it is tried: of proposals that would be, none comes."""
    generator = random.Random(0)
    trials = [simulated_trial(SPACE, i, SPACE.sample(generator)) for i in range(40)]

    def params_of_proposals(caps: Caps) -> list[int]:
        controller = Guided(SPACE, 0, objective=WeightedProduct.soft(20, caps=caps), initial=20)
        controller.tell(trials)
        return [count_params(SPACE.decode(tokens)) for tokens in controller.ask(5)]

    cap = sorted(params_of_proposals(Caps()))[1]  # three of five are above
    assert max(params_of_proposals(Caps(max_params=cap))) <= cap


def test_another_run_helps_from_the_start() -> None:
    """Started from 60 trials on another device, it is further after 25 trials than started from nothing."""
    objective = WeightedProduct.soft(target_ms=7)
    generator = random.Random(5)
    sample = [IMAGENET.sample(generator) for _ in range(60)]
    other = [
        dataclasses.replace(trial, measurement=dataclasses.replace(trial.measurement, latency=latency))
        for trial in imagenet_trials(sample, 0, objective)
        for latency in [SurrogateDevice("vck190").measure(trial.architecture)]
    ]
    warm = Guided(IMAGENET, 0, objective=objective, warm_start=other)
    cold = Guided(IMAGENET, 0, objective=objective)
    warm_best = max(trial.reward for trial in imagenet_search(warm, 25, objective))
    cold_best = max(trial.reward for trial in imagenet_search(cold, 25, objective))
    assert warm_best > cold_best


def test_summaries_say_what_the_models_are_like() -> None:
    controller = Guided(SPACE, 0, objective=SOFT, initial=10)
    told = searched(controller, 30)
    summary = controller.tell([simulated_trial(SPACE, 30, controller.ask(1)[0])])
    assert summary is not None
    assert list(summary) == ["accuracy", "latency_ms"]
    assert summary["latency_ms"]["left_out_tau"] > 0.5
    assert summary["accuracy"]["values"] == len(told) + 1
    assert len(json.dumps(summary)) < 2_000


def test_what_is_asked_wrongly_is_refused() -> None:
    with pytest.raises(SettingsError, match="did you mean 'reward'"):
        Guided(SPACE, goal="rewrad")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="initial should be a whole number from 5"):
        Guided(SPACE, initial=1)
    with pytest.raises(ValueError, match="tell more first"):
        Guided(SPACE).predict([(0,) * len(SPACE.choices)])
    assert Guided(SPACE).best() is None
    assert Guided(SPACE).front() == []


def test_a_space_that_is_not_made_of_blocks_is_searched_too() -> None:
    space = Wrapped(IMAGENET)
    controller = Guided(space, 0, initial=10)
    objective = WeightedProduct.soft(target_ms=7)
    told = imagenet_search(controller, 40, objective)
    late, early = (sum(t.reward for t in part) / len(part) for part in (told[-15:], told[:10]))
    assert late > early


@pytest.mark.slow
def test_thousands_of_trials_stay_bearable() -> None:
    """A fit takes 400 of them: the last of 1,500 trials cost at most thrice what those before the 500th do."""
    import time

    controller, seconds, told = Guided(SPACE, 0, objective=SOFT), [], 0
    while told < 1500:
        started = time.process_time()
        proposals = controller.ask(50)
        trials = [simulated_trial(SPACE, told + i, tokens) for i, tokens in enumerate(proposals)]
        controller.tell(trials)
        seconds.append(time.process_time() - started)
        told += 50
    assert sum(seconds[-4:]) < 3 * sum(seconds[6:10])


class Wrapped(SearchSpace):
    """A space that says nothing of its inside."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.name = "wrapped"
        self.choices = tuple(
            Choice(choice.name.replace("block", "stage"), choice.options) for choice in space.choices
        )

    def decode(self, tokens: Tokens) -> Architecture:
        return self._space.decode(tokens)

    def encode(self, architecture: Architecture) -> Tokens:
        return self._space.encode(architecture)

    def describe(self) -> dict[str, object]:
        return self._space.describe()

    def distinct_size(self) -> int:
        return self._space.distinct_size()


def tiny_space() -> BlockSpace:
    """Sixteen networks: four ops and four kernels."""
    row = BlockChoices(16, 1, 1, ("conv", "sepconv", "mbconv3", "mbconv6"), (3, 5, 7, 9), (0,), ("none",), (1,), (0,))
    return BlockSpace("tiny", (row,), stem=Stem(filters=8), head=Head(16, 4), resolution=32)


def test_what_is_open_is_believed_and_not_proposed_beside():
    """Asked one by one with nothing told between, it proposes as in one batch: not twice, nor the same corner."""
    batch, single = (Guided(SPACE, seed=0, objective=SOFT) for _ in range(2))
    for controller in (batch, single):
        told = [simulated_trial(SPACE, number, tokens) for number, tokens in enumerate(controller.ask(20))]
        controller.tell(told)
    together = batch.ask(4)
    one_by_one = [single.ask(1)[0] for _ in range(4)]
    assert len(set(one_by_one)) == 4
    assert one_by_one[0] == together[0]
    assert single.ask(1)[0] not in one_by_one
