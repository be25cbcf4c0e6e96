"""Optuna's samplers as controllers: what they propose is what Optuna itself would, what is told is what happened."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest

from mnas.controllers import Controller, OptunaController
from mnas.errors import SettingsError
from mnas.space import SearchSpace, Tokens, accel_nasbench_space, mnasnet_layerwise_space, mnasnet_space
from mnas.testing import ControllerConformance, simulated_trial
from mnas.trial import Trial, TrialState

optuna = pytest.importorskip("optuna")

SPACE = accel_nasbench_space()
States = optuna.trial.TrialState


class TestTPE(ControllerConformance):
    rounds = 12

    def make(self, space: SearchSpace, seed: int) -> Controller:
        return OptunaController(space, seed, sampler_options={"n_startup_trials": 4}, batch=2)


class TestTPEFront(ControllerConformance):
    rounds = 8

    def make(self, space: SearchSpace, seed: int) -> Controller:
        return OptunaController(space, seed, sampler_options={"n_startup_trials": 4}, goal="front", batch=2)


class TestNSGAII(ControllerConformance):
    rounds = 12

    def make(self, space: SearchSpace, seed: int) -> Controller:
        options = {"population_size": 5}
        return OptunaController(space, seed, sampler="NSGAIISampler", sampler_options=options, goal="front", batch=2)


def searched(controller: OptunaController, space: SearchSpace, trials: int) -> list[Tokens]:
    proposals: list[Tokens] = []
    for number in range(trials):
        [tokens] = controller.ask(1)
        controller.tell([simulated_trial(space, number, tokens)])
        proposals.append(tokens)
    return proposals


@pytest.mark.parametrize("sampler", ["TPESampler", "RandomSampler"])
def test_proposals_are_those_of_optuna_itself(sampler: str) -> None:
    """The same seed and rewards give by `suggest_categorical`, trial after trial, what the controller proposes."""
    study = optuna.create_study(direction="maximize", sampler=getattr(optuna.samplers, sampler)(seed=4))
    direct = []
    for number in range(25):
        trial = study.ask()
        tokens = tuple(trial.suggest_categorical(c.name, range(len(c.options))) for c in SPACE.choices)
        study.tell(trial, simulated_trial(SPACE, number, tokens).reward)
        direct.append(tokens)
    assert searched(OptunaController(SPACE, 4, sampler=sampler), SPACE, 25) == direct


@pytest.mark.parametrize("space", [mnasnet_space(), mnasnet_layerwise_space(), SPACE], ids=lambda space: space.name)
@pytest.mark.parametrize("goal", ["reward", "front"])
def test_every_space_is_searched(space: SearchSpace, goal: Any) -> None:
    controller = OptunaController(space, 0, sampler_options={"n_startup_trials": 3}, goal=goal)
    for tokens in searched(controller, space, 6):
        space.check(tokens)


def told(goal: Any, state: TrialState, **changes: Any) -> Any:
    """What the study keeps of a trial that was asked for."""
    controller = OptunaController(SPACE, 0, goal=goal)
    [tokens] = controller.ask(1)
    controller.tell([dataclasses.replace(simulated_trial(SPACE, 0, tokens, state), **changes)])
    [kept] = controller.study.trials
    return kept


def test_states_become_optuna_s_with_a_reward() -> None:
    assert told("reward", TrialState.COMPLETE, reward=0.7).values == [0.7]
    infeasible = told("reward", TrialState.INFEASIBLE, reward=0.0)
    assert (infeasible.state, infeasible.values) == (States.COMPLETE, [0.0])
    assert told("reward", TrialState.FAILED).state is States.FAIL
    stopped = told("reward", TrialState.STOPPED, reward=0.3, curve=(0.1, 0.2, 0.3))
    assert (stopped.state, stopped.intermediate_values) == (States.PRUNED, {3: 0.3})


def test_states_become_optuna_s_with_a_front() -> None:
    tokens = OptunaController(SPACE, 0).ask(1)[0]
    trial = simulated_trial(SPACE, 0, tokens)
    assert told("front", TrialState.COMPLETE).values == [trial.accuracy, trial.latency_ms]
    slow = told("front", TrialState.INFEASIBLE)
    assert (slow.state, slow.values) == (States.COMPLETE, [0.0, trial.latency_ms])
    unmeasured = dataclasses.replace(trial.measurement, latency=None, accuracy=None)
    assert told("front", TrialState.INFEASIBLE, measurement=unmeasured).state is States.FAIL
    assert told("front", TrialState.FAILED).state is States.FAIL
    assert told("front", TrialState.STOPPED).state is States.FAIL


def test_trials_of_another_search_are_added() -> None:
    """Told what it did not ask for, the study has them as if it had, of every state."""
    controller = OptunaController(SPACE, 0, sampler_options={"n_startup_trials": 2})
    others = [
        simulated_trial(SPACE, i, tuple((i + j) % len(c.options) for j, c in enumerate(SPACE.choices)), state)
        for i, state in enumerate(TrialState)
    ]
    controller.tell(others)
    states = [States.COMPLETE, States.PRUNED, States.COMPLETE, States.FAIL]
    assert [kept.state for kept in controller.study.trials] == states
    assert controller.study.trials[0].params == dict(
        zip([choice.name for choice in SPACE.choices], others[0].tokens, strict=True)
    )
    assert controller.ask(1) != OptunaController(SPACE, 0, sampler_options={"n_startup_trials": 2}).ask(1)


def test_equal_proposals_of_a_batch_are_told_apart() -> None:
    """In a space of few networks a batch repeats itself: each trial of the study is told once."""
    from mnas.testing._controller import one_choice_space  # two networks

    space = one_choice_space()
    controller = OptunaController(space, 0, sampler="RandomSampler", batch=6)
    controller.tell([simulated_trial(space, i, tokens) for i, tokens in enumerate(controller.ask(6))])
    assert [kept.state for kept in controller.study.trials] == [States.COMPLETE] * 6


def test_trials_are_known_by_their_tokens() -> None:
    """Told in another order than asked, each value is still that of its own parameters."""
    controller = OptunaController(SPACE, 0, batch=4)
    trials = [simulated_trial(SPACE, i, tokens) for i, tokens in enumerate(controller.ask(4))]
    controller.tell(trials[::-1])
    assert [kept.value for kept in controller.study.trials] == [trial.reward for trial in trials]


def test_numbers_are_asked_for_where_categories_are_unknown() -> None:
    controller = OptunaController(SPACE, 0, encoding="numbers", sampler_options={"multivariate": True})
    for tokens in searched(controller, SPACE, 15):
        SPACE.check(tokens)
    kept = controller.study.trials[0].distributions
    assert all(isinstance(one, optuna.distributions.IntDistribution) for one in kept.values())


def test_optuna_s_log_is_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """A new study says nothing, and the level of Optuna's messages stays the caller's."""
    before = optuna.logging.get_verbosity()
    try:
        for level in (optuna.logging.DEBUG, optuna.logging.ERROR):
            optuna.logging.set_verbosity(level)
            searched(OptunaController(SPACE, 0), SPACE, 2)
            assert optuna.logging.get_verbosity() == level
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr() == ("", "")


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingsError, match=r"pip install 'mnas\[optuna\]'"):
        OptunaController(SPACE)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sampler": "TPESampeler"}, "unknown sampler of Optuna: 'TPESampeler': did you mean 'TPESampler'"),
        ({"sampler": "BaseGASampler"}, "unknown sampler of Optuna"),
        ({"sampler_options": {"gama": 3}}, "optuna.samplers.TPESampler refuses its options .*'gama'"),
        ({"sampler_options": {"seed": 3}}, "sampler_options should leave the seed to the controller, got seed = 3"),
        ({"sampler": "NSGAIISampler", "sampler_options": {"population_size": 1}}, "population_size"),
        ({"goal": "both"}, "unknown goal 'both'"),
        ({"encoding": "onehot"}, "unknown encoding 'onehot'"),
        ({"batch": 0}, "batch should be a whole number from 1, got 0"),
    ],
)
def test_bad_settings_of_optuna_are_refused_by_name(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        OptunaController(SPACE, 0, **settings)


def test_a_trial_without_a_finite_reward_is_refused() -> None:
    controller = OptunaController(SPACE, 0)
    [tokens] = controller.ask(1)
    trial: Trial = dataclasses.replace(simulated_trial(SPACE, 0, tokens), reward=float("nan"))
    with pytest.raises(ValueError, match="finite"):
        controller.tell([trial])
