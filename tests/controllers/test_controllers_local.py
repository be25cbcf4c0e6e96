"""Local search: it climbs, knows when it stands on a top, and begins again."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from mnas.controllers import Controller, LocalSearch, RandomSearch
from mnas.errors import SettingsError
from mnas.space import BlockChoices, BlockSpace, SearchSpace, Tokens, accel_nasbench_space, mnasnet_space
from mnas.testing import ControllerConformance, simulated_trial
from mnas.trial import Trial, TrialState

SPACE = mnasnet_space()
TRIAL = simulated_trial(SPACE, 0, (0,) * len(SPACE.choices))
NEIGHBOURS = sum(len(choice.options) - 1 for choice in SPACE.choices)


class TestLocalSearch(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        return LocalSearch(space, seed, starts=8)


class TestRestartedLocalSearch(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        return LocalSearch(space, seed, starts=2, kick=0, batch=3)


def told(tokens: Tokens, reward: float, state: TrialState = TrialState.COMPLETE) -> Trial:
    return dataclasses.replace(TRIAL, tokens=tokens, reward=reward, state=state)


def distance(a: Tokens, b: Tokens) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def climb(controller: LocalSearch, reward: Callable[[Tokens], float], trials: int) -> list[Tokens]:
    """The proposals of so many trials."""
    proposals: list[Tokens] = []
    while len(proposals) < trials:
        batch = controller.ask(controller.batch)
        controller.tell([told(tokens, reward(tokens)) for tokens in batch])
        proposals += batch
    return proposals


def total(tokens: Tokens) -> float:
    """A reward without local optima: the highest token of every choice is best."""
    return float(sum(tokens))


@pytest.mark.parametrize("batch", [1, 5])
def test_the_top_of_a_hill_is_reached(batch: int) -> None:
    """Each choice is answered best after a few rounds over the neighbours."""
    top = tuple(len(choice.options) - 1 for choice in SPACE.choices)
    assert top in climb(LocalSearch(SPACE, 0, batch=batch), total, 10 * NEIGHBOURS)


def test_proposals_are_neighbours_of_the_best() -> None:
    controller = LocalSearch(SPACE, 0, starts=4, batch=4)
    best = max(climb(controller, total, 4), key=total)
    for _ in range(20):
        batch = controller.ask(4)
        assert all(distance(tokens, best) == 1 for tokens in batch)
        controller.tell([told(tokens, total(tokens)) for tokens in batch])
        best = max([best, *batch], key=total)


def test_it_begins_at_the_best_of_its_starts() -> None:
    """However the starts come: in one batch, or one by one."""
    for batch in (1, 10):
        controller = LocalSearch(SPACE, 7, starts=10, batch=batch)
        starts = climb(controller, total, 10)
        assert starts == RandomSearch(SPACE, 7).ask(10)
        assert distance(controller.ask(1)[0], max(starts, key=total)) == 1


def test_no_network_is_tried_twice() -> None:
    """Over several climbs to the same top, in a space where they pass the same networks."""
    row = BlockChoices(16, 2, 2, se_ratios=(0,))
    space = BlockSpace("two blocks", (row, row))
    assert space.size() == 216**2
    proposals = climb(LocalSearch(space, 0, starts=3, batch=2), total, 500)
    assert len(set(proposals)) == 500


def on_top(kick: int) -> tuple[LocalSearch, Tokens]:
    """A climb whose neighbours are all tried and worse."""
    controller = LocalSearch(SPACE, 0, starts=1, batch=1, kick=kick)
    [top] = climb(controller, lambda tokens: 1.0, 1)
    climb(controller, lambda tokens: 0.0, NEIGHBOURS)
    return controller, top


@pytest.mark.parametrize("kick", [1, 2, 4])
def test_from_a_top_the_next_climb_begins_near_it(kick: int) -> None:
    """With one change all near it are known, so that it begins anywhere."""
    controller, top = on_top(kick)
    [start] = controller.ask(1)
    assert (distance(start, top) > 4) if kick == 1 else (1 < distance(start, top) <= kick)


def test_without_a_kick_it_begins_anywhere() -> None:
    controller, top = on_top(kick=0)
    assert distance(controller.ask(1)[0], top) > 10


def test_networks_known_from_an_earlier_climb_are_stepped_on_without_a_trial() -> None:
    """A start two changes from the top, worse than the known networks between: the climb is over at once."""
    controller, top = on_top(kick=2)
    [start] = controller.ask(1)
    assert distance(start, top) == 2
    controller.tell([told(start, -1.0)])
    # Without stepping it would try neighbours of the start, most of them three changes from the top.
    assert all(distance(tokens, top) == 2 for tokens in controller.ask(20))


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.INFEASIBLE])
def test_a_failure_is_not_stepped_on(state: TrialState) -> None:
    controller = LocalSearch(SPACE, 0, starts=1, batch=1)
    [start] = controller.ask(1)
    controller.tell([told(start, 0.5)])
    for _ in range(10):
        [tokens] = controller.ask(1)
        assert distance(tokens, start) == 1
        controller.tell([told(tokens, 0.0, state)])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"batch": 0}, "batch should be a whole number from 1, got 0"),
        ({"starts": 0}, "starts should be a whole number from 1, got 0"),
        ({"kick": -1}, "kick should be a whole number from 0, got -1"),
    ],
)
def test_bad_settings_of_local_search_are_refused_by_name(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        LocalSearch(SPACE, 0, **settings)


@pytest.mark.parametrize("space", [SPACE, accel_nasbench_space()], ids=lambda space: space.name)
def test_local_search_learns(space: SearchSpace) -> None:
    """Its latest hundred of 300 trials beat random ones by far on the simulated device and accuracy."""

    def rewards(controller: Controller) -> list[float]:
        made: list[float] = []
        while len(made) < 300:
            trials = [simulated_trial(space, 0, tokens) for tokens in controller.ask(controller.batch)]
            controller.tell(trials)
            made += [trial.reward for trial in trials]
        return made

    random_ones = rewards(RandomSearch(space, 0))
    gain = statistics.mean(rewards(LocalSearch(space, 0))[-100:]) - statistics.mean(random_ones)
    assert gain > 2 * statistics.stdev(random_ones)
