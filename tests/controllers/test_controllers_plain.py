"""The controllers without a policy, and what all four have in common."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from mnas.controllers import PPO, RandomSearch, RegularizedEvolution, Reinforce
from mnas.errors import SettingsError
from mnas.space import BlockChoices, BlockSpace, Tokens, mnasnet_space
from mnas.testing import simulated_trial
from mnas.trial import Trial, TrialState

SPACE = mnasnet_space()


TRIAL = simulated_trial(SPACE, 0, (0,) * len(SPACE.choices))


def told(tokens: Tokens, reward: float, state: TrialState = TrialState.COMPLETE) -> Trial:
    """A trial of which controllers read tokens, reward and state."""
    return dataclasses.replace(TRIAL, tokens=tokens, reward=reward, state=state)


def distance(a: Tokens, b: Tokens) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def test_random_search_ignores_what_it_is_told() -> None:
    told_much, silent = RandomSearch(SPACE, 0), RandomSearch(SPACE, 0)
    told_much.tell([told(tokens, 1.0) for tokens in told_much.ask(20)])
    silent.ask(20)
    assert told_much.ask(20) == silent.ask(20)


def test_evolution_is_random_until_its_population_is_full() -> None:
    evolution, random_search = RegularizedEvolution(SPACE, 3, population=20, tournament=5), RandomSearch(SPACE, 3)
    for _ in range(2):
        proposals = evolution.ask(10)
        assert proposals == random_search.ask(10)
        evolution.tell([told(tokens, 0.5) for tokens in proposals])
    assert evolution.ask(10) != random_search.ask(10)


def test_evolution_mutates_the_winner_of_the_tournament() -> None:
    """Each child differs from its parent in one choice, and the best is a parent most often."""
    evolution = RegularizedEvolution(SPACE, 0, population=4, tournament=4)
    proposals = evolution.ask(4)
    evolution.tell([told(tokens, float(i)) for i, tokens in enumerate(proposals)])
    children = evolution.ask(200)
    parents = [min(range(4), key=lambda i: distance(child, proposals[i])) for child in children]
    assert all(distance(child, proposals[p]) == 1 for child, p in zip(children, parents, strict=True))
    # The best of four drawn with replacement is the i-th worst with probability ((i + 1)^4 - i^4) / 4^4.
    shares = [parents.count(i) / 200 for i in range(4)]
    assert shares[3] == pytest.approx(175 / 256, abs=0.2)  # six standard deviations
    assert shares[3] > shares[2] > shares[1]


def test_the_oldest_dies_however_good() -> None:
    """A population of one has only the latest trial, though the one before was better."""
    evolution = RegularizedEvolution(SPACE, 0, population=1, tournament=1)
    [best] = evolution.ask(1)
    evolution.tell([told(best, 1.0)])
    [child] = evolution.ask(1)
    evolution.tell([told(child, 0.1)])
    [grandchild] = evolution.ask(1)
    assert distance(grandchild, child) == 1


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.INFEASIBLE])
def test_failures_join_the_population_and_lose(state: TrialState) -> None:
    evolution = RegularizedEvolution(SPACE, 0, population=10, tournament=10)
    proposals = evolution.ask(10)
    evolution.tell([told(t, 0.5) if i == 4 else told(t, 0.0, state) for i, t in enumerate(proposals)])
    children = evolution.ask(100)
    of_the_survivor = sum(distance(child, proposals[4]) == 1 for child in children)
    # The survivor is left out of a tournament with probability 0.9^10 = 0.35: 65 expected, six deviations 29.
    assert of_the_survivor > 36


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        (RandomSearch, {"batch": 0}, "batch should be a whole number from 1, got 0"),
        (RegularizedEvolution, {"batch": "10"}, "batch should be a whole number from 1, got '10'"),
        (RegularizedEvolution, {"population": 0}, "population should be a whole number from 1, got 0"),
        (RegularizedEvolution, {"tournament": 0}, "tournament should be a whole number from 1, got 0"),
        (RegularizedEvolution, {"tournament": 51}, "tournament should be at most the population of 50, got 51"),
    ],
)
def test_bad_settings_are_refused_by_name_here_too(kind: Any, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        kind(SPACE, 0, **settings)


@pytest.mark.parametrize("kind", [RandomSearch, RegularizedEvolution, Reinforce, PPO])
def test_a_space_with_nothing_to_choose_is_refused(kind: Any) -> None:
    fixed = BlockChoices(16, 1, 1, ("conv",), (3,), (0,), ("none",), (1,), (0,))
    with pytest.raises(SettingsError, match="space 'fixed' should leave something to choose"):
        kind(BlockSpace("fixed", (fixed,)), 0)


def test_the_package_is_imported_without_torch() -> None:
    code = "import sys, mnas.controllers as c; c.RandomSearch; assert 'torch' not in sys.modules; c.PPO; c.Reinforce"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_no_attribute() -> None:
    import mnas.controllers

    with pytest.raises(AttributeError, match="PPPO"):
        mnas.controllers.PPPO  # noqa: B018
