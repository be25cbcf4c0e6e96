"""The controllers with a policy: ppo and reinforce."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import Any

import pytest
import torch

from mnas.controllers import PPO, Controller, Reinforce
from mnas.errors import SettingsError
from mnas.space import BlockChoices, BlockSpace, Head, SearchSpace, Stem, Tokens, mnasnet_space
from mnas.testing import simulated_trial
from mnas.trial import Trial, TrialState

ROW = BlockChoices(16, 2, 2, se_ratios=(0,))
SPACE = BlockSpace("two blocks", (ROW, ROW), stem=Stem(filters=8), head=Head(16, 4), resolution=32)
KINDS: list[Any] = [
    pytest.param(PPO, {}, id="ppo"),
    pytest.param(Reinforce, {"policy": "independent"}, id="reinforce"),
    pytest.param(Reinforce, {"policy": "recurrent"}, id="recurrent"),
]
TRIAL = simulated_trial(SPACE, 0, (0,) * len(SPACE.choices))


def told(tokens: Tokens, reward: float, state: TrialState = TrialState.COMPLETE) -> Trial:
    """A trial of which controllers read tokens, reward and state."""
    return dataclasses.replace(TRIAL, tokens=tokens, reward=reward, state=state)


def quick(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that learn within some thirty batches."""
    return {**settings, "learning_rate": 0.1 if settings.get("policy") == "independent" else 0.01}


def probabilities(controller: Controller, space: SearchSpace = SPACE) -> dict[str, list[float]]:
    """The policy's, by a tell that moves nothing but the optimizer: every reward is the same."""
    summary = controller.tell([told(tokens, 0.5) for tokens in controller.ask(100)])
    assert summary is not None
    result: dict[str, list[float]] = summary["probabilities"]
    return result


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_what_fails_becomes_less_probable(kind: Any, settings: dict[str, Any]) -> None:
    """Kernel 5 in block 2 is worth 0.5, kernel 3 fails and is worth nothing: its probability falls below 0.2."""
    controller = kind(SPACE, 0, **quick(settings))
    assert SPACE.choices[6].name == "block2.kernel"
    for _ in range(25):
        states = (TrialState.FAILED, TrialState.COMPLETE)
        controller.tell([told(t, 0.5 * t[6], states[t[6]]) for t in controller.ask(20)])
    assert probabilities(controller)["block2.kernel"][0] < 0.2


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_the_summary_tells_the_probabilities_of_the_proposals(kind: Any, settings: dict[str, Any]) -> None:
    """Frequencies of 1,000 proposals are within six standard deviations of the probabilities told."""
    controller = kind(SPACE, 1, **settings)
    for _ in range(5):
        controller.tell([told(t, sum(t) / 20) for t in controller.ask(20)])
    proposals = controller.ask(1000)
    summary = controller.tell([told(t, 0.5) for t in proposals])
    for index, choice in enumerate(SPACE.choices):
        counts = Counter(tokens[index] for tokens in proposals)
        for option, p in enumerate(summary["probabilities"][choice.name]):
            assert counts[option] / 1000 == pytest.approx(p, abs=6 * 0.5 / math.sqrt(1000))


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_a_new_policy_is_all_but_uniform(kind: Any, settings: dict[str, Any]) -> None:
    """Its entropy is within 2 % of the largest there is, and every probability between a half and twice its share."""
    controller = kind(mnasnet_space(), 0, **settings)
    space = mnasnet_space()
    summary = controller.tell([simulated_trial(space, i, t) for i, t in enumerate(controller.ask(20))])
    largest = sum(math.log(len(choice.options)) for choice in space.choices)
    assert 0.98 * largest < summary["entropy"] <= largest * (1 + 1e-6)
    for row in summary["probabilities"].values():
        assert all(0.5 < p * len(row) < 2 for p in row)


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_the_entropy_weight_keeps_the_policy_open(kind: Any, settings: dict[str, Any]) -> None:
    entropies = []
    for weight in (0.0, 1.0):
        controller = kind(SPACE, 0, entropy_weight=weight, **quick(settings))
        for _ in range(15):
            summary = controller.tell([told(t, sum(t) / 20) for t in controller.ask(20)])
        entropies.append(summary["entropy"])
    assert entropies[1] > entropies[0] + 0.5


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_the_baseline_is_a_moving_average_of_rewards(kind: Any, settings: dict[str, Any]) -> None:
    """It begins at the mean of the first batch; afterwards each reward moves it by 5 %."""
    controller = kind(SPACE, 0, **settings)
    first = controller.tell([told(t, 0.5) for t in controller.ask(4)])
    second = controller.tell([told(t, 1.0) for t in controller.ask(2)])
    assert first["baseline"] == pytest.approx(0.5)
    assert second["baseline"] == pytest.approx(1 - 0.5 * 0.95**2)


def test_the_number_of_threads_changes_no_bit() -> None:
    """Gradients of the embeddings differ in their last bits between one thread and two, so the policy runs on one.

    With this learning rate, the entropy shows it from the third update on.
    """
    space, threads = mnasnet_space(), torch.get_num_threads()
    courses = []
    for number in (1, 2):
        torch.set_num_threads(number)
        try:
            controller = PPO(space, 0, learning_rate=0.01)
            course = []
            for _ in range(5):
                proposals = controller.ask(20)
                trials = [dataclasses.replace(TRIAL, tokens=t, reward=sum(t) / 100) for t in proposals]
                course.append((proposals, controller.tell(trials)))
            assert torch.get_num_threads() == number
        finally:
            torch.set_num_threads(threads)
        courses.append(course)
    assert courses[0] == courses[1]


def test_ppo_with_one_epoch_is_reinforce() -> None:
    """In the first epoch no ratio is clipped, so the gradient is REINFORCE's: the proposals are the same bits."""
    shared = {"learning_rate": 3.5e-3, "batch": 10}
    ppo, reinforce = PPO(SPACE, 4, epochs=1, **shared), Reinforce(SPACE, 4, policy="recurrent", **shared)  # type: ignore[arg-type]
    for _ in range(10):
        proposals = ppo.ask(10)
        assert reinforce.ask(10) == proposals
        trials = [simulated_trial(SPACE, i, tokens) for i, tokens in enumerate(proposals)]
        ppo.tell(trials)
        reinforce.tell(trials)


def test_clipping_bounds_a_step() -> None:
    """With many epochs on one batch, a small clip leaves the policy nearer to the old one than a large clip."""
    moved = []
    for clip in (0.01, 0.99):
        controller = PPO(SPACE, 0, epochs=20, learning_rate=0.01, clip=clip)
        proposals = controller.ask(20)
        controller.tell([told(t, float(t[1])) for t in proposals])
        moved.append(probabilities(controller)["block1.kernel"][1])
    assert moved[0] < moved[1]


@pytest.mark.parametrize(("kind", "settings"), KINDS)
@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_refused(kind: Any, settings: dict[str, Any], reward: float) -> None:
    controller = kind(SPACE, 0, **settings)
    trials = [told(tokens, reward) for tokens in controller.ask(2)]
    with pytest.raises(ValueError, match="finite rewards, trial 0"):
        controller.tell(trials)


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_telling_nothing_changes_nothing(kind: Any, settings: dict[str, Any]) -> None:
    quiet, other = kind(SPACE, 0, **settings), kind(SPACE, 0, **settings)
    assert quiet.tell([]) is None
    assert quiet.ask(5) == other.ask(5)


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        (PPO, {"batch": 0}, "batch should be a whole number from 1, got 0"),
        (PPO, {"batch": 2.5}, "batch should be a whole number from 1, got 2.5"),
        (PPO, {"hidden_units": True}, "hidden_units should be a whole number from 1, got True"),
        (PPO, {"epochs": -1}, "epochs should be a whole number from 1, got -1"),
        (PPO, {"learning_rate": 0}, "learning_rate should be a number above 0, got 0"),
        (PPO, {"learning_rate": "fast"}, "learning_rate should be a number above 0, got 'fast'"),
        (PPO, {"learning_rate": math.nan}, "learning_rate should be a number above 0, got nan"),
        (PPO, {"learning_rate": math.inf}, "learning_rate should be a number above 0, got inf"),
        (PPO, {"entropy_weight": -1e-5}, "entropy_weight should be a number at least 0, got -1e-05"),
        (PPO, {"baseline_decay": 1}, "baseline_decay should be a number at least 0 and below 1, got 1"),
        (PPO, {"init_range": 0}, "init_range should be a number above 0, got 0"),
        (PPO, {"clip": 1.5}, "clip should be a number above 0 and below 1, got 1.5"),
        (Reinforce, {"policy": "recurent"}, "unknown policy 'recurent': did you mean 'recurrent'"),
        (Reinforce, {"batch": 0}, "batch should be"),
        (Reinforce, {"learning_rate": -1}, "learning_rate should be"),
        (Reinforce, {"entropy_weight": -1}, "entropy_weight should be"),
        (Reinforce, {"baseline_decay": -0.1}, "baseline_decay should be"),
    ],
)
def test_bad_settings_are_refused_by_name(kind: Any, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        kind(SPACE, 0, **settings)
