"""NSGA-II: ranks, crowding, constraint-domination, and what its children are."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from typing import Any

import pytest

from mnas.controllers import NSGA2, Controller, RandomSearch
from mnas.errors import SettingsError
from mnas.objective import Latency, Measurement
from mnas.pareto import hypervolume
from mnas.space import SearchSpace, Tokens, accel_nasbench_space, mnasnet_space
from mnas.testing import ControllerConformance, simulated_trial
from mnas.trial import Trial, TrialState

SPACE = mnasnet_space()
TRIAL = simulated_trial(SPACE, 0, (0,) * len(SPACE.choices))
NEVER = 1e-9  # mutations: children of one parent are their parents then, and tell who the parents are


class TestNSGA2(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        # A population that fills within the rounds of the suite, so that children are compared too.
        return NSGA2(space, seed, population=12)


def told(
    tokens: Tokens,
    latency: float | None = None,
    accuracy: float | None = None,
    state: TrialState = TrialState.COMPLETE,
    madds: int = 1,
) -> Trial:
    """A trial of which NSGA-II reads tokens, state, latency, accuracy and MAdds."""
    measured = None if latency is None else Latency(latency, latency, latency, "test", "test")
    return dataclasses.replace(
        TRIAL, tokens=tokens, state=state, measurement=Measurement(1, madds, 4, measured, accuracy)
    )


def parents(controller: NSGA2) -> set[Tokens]:
    """Who has children: the last of a population of 6 is missed by 600 draws with probability (35/36)^600 < 1e-7."""
    return set(controller.ask(600))


def survivors(points: list[tuple[float, float]], size: int) -> set[int]:
    """Deb et al. 2002 by the book: ranks by counting, crowding one objective after the other."""

    def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    left, chosen = set(range(len(points))), set[int]()
    while len(chosen) < size:
        front = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        distance = dict.fromkeys(front, 0.0)
        for objective in (0, 1):
            order = sorted(front, key=lambda i: points[i][objective])
            width = points[order[-1]][objective] - points[order[0]][objective]
            distance[order[0]] = distance[order[-1]] = math.inf
            for before, i, after in zip(order, order[1:], order[2:], strict=False):
                distance[i] += (points[after][objective] - points[before][objective]) / width
        front.sort(key=lambda i: (-distance[i], points[i][0]))
        chosen |= set(front[: size - len(chosen)])
        left -= set(front)
    return chosen


@pytest.mark.parametrize("seed", range(12))
def test_the_paper_s_survivors_are_the_parents(seed: int) -> None:
    """Of fourteen random points six survive: by rank, the last rank by crowding."""
    generator = random.Random(seed)
    points = [(generator.random(), generator.random()) for _ in range(14)]
    networks = [SPACE.sample(generator) for _ in points]
    controller = NSGA2(SPACE, seed, population=6, crossover=0, mutations=NEVER)
    controller.tell([told(tokens, *point) for tokens, point in zip(networks, points, strict=True)])
    assert parents(controller) == {networks[i] for i in survivors(points, 6)}


def test_tournaments_of_two_are_won_by_rank_then_crowding() -> None:
    """Of four in order the best wins 7 of 16, the last 1 of 16; 600 draws stray by 0.1 once in 10^6."""
    generator = random.Random(0)
    networks = [SPACE.sample(generator) for _ in range(4)]
    controller = NSGA2(SPACE, 0, population=4, crossover=0, mutations=NEVER)
    controller.tell([told(tokens, 1.0 + i, 0.5 - i / 10) for i, tokens in enumerate(networks)])
    children = controller.ask(600)
    shares = [children.count(tokens) / 600 for tokens in networks]
    assert shares == pytest.approx([7 / 16, 5 / 16, 3 / 16, 1 / 16], abs=0.1)


def test_parents_stay_until_better_ones_come() -> None:
    """Elitist: what dominates all survives any number of worse trials, told one by one."""
    controller = NSGA2(SPACE, 0, population=2, batch=1, crossover=0, mutations=NEVER)
    first = controller.ask(2)
    controller.tell([told(first[0], 1.0, 0.9), told(first[1], 5.0, 0.5)])
    generator = random.Random(0)
    for _ in range(20):
        controller.tell([told(SPACE.sample(generator), 4.0 + generator.random(), 0.6)])
    assert first[0] in parents(controller)
    assert first[1] not in parents(controller)


def test_proposals_are_random_until_the_population_is_told() -> None:
    controller, random_search = NSGA2(SPACE, 3, population=10), RandomSearch(SPACE, 3)
    for _ in range(2):
        proposals = controller.ask(5)
        assert proposals == random_search.ask(5)
        controller.tell([told(tokens, 1.0 + i, 0.5) for i, tokens in enumerate(proposals)])
    assert controller.ask(5) != random_search.ask(5)


def test_a_child_has_each_answer_from_one_of_two_parents() -> None:
    zeros, ones = (0,) * len(SPACE.choices), (1,) * len(SPACE.choices)
    controller = NSGA2(SPACE, 0, population=2, crossover=1, mutations=NEVER)
    controller.tell([told(zeros, 1.0, 0.5), told(ones, 2.0, 0.6)])
    children = controller.ask(50)
    assert all(set(child) <= {0, 1} for child in children)
    # Half of a mixed child's answers are ones, on average; half of the children have one parent twice.
    mixed = [sum(child) / len(child) for child in children if len(set(child)) == 2]
    assert len(mixed) > 10
    assert statistics.mean(mixed) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("mutations", [1.0, 5.0])
def test_mutations_are_so_many_on_average(mutations: float) -> None:
    """The mean of 500 children's mutations has a standard deviation below 0.1."""
    zeros = (0,) * len(SPACE.choices)
    controller = NSGA2(SPACE, 0, population=2, crossover=0, mutations=mutations)
    controller.tell([told(zeros, 1.0, 0.5), told(zeros, 1.0, 0.5)])
    changes = [sum(token != 0 for token in child) for child in controller.ask(500)]
    # Children without a change are made again: the parent was proposed before, after its first time.
    expected = mutations / (1 - (1 - mutations / len(zeros)) ** len(zeros))
    assert statistics.mean(changes) == pytest.approx(expected, abs=0.6)


def test_no_network_is_proposed_twice() -> None:
    """Among 400 children in a space of 10^13 none repeats, though the population is small and similar."""
    controller = NSGA2(SPACE, 0, population=4, batch=4)
    proposals: list[Tokens] = []
    for _ in range(100):
        batch = controller.ask(4)
        controller.tell([told(tokens, 1.0 + sum(tokens), 0.5 + sum(tokens) / 1000) for tokens in batch])
        proposals += batch
    assert len(set(proposals)) == 400


def test_what_is_feasible_comes_first_then_what_violates_least() -> None:
    """Constraint-domination: COMPLETE, STOPPED by accuracy, INFEASIBLE by MAdds, FAILED."""
    generator = random.Random(0)
    networks = [SPACE.sample(generator) for _ in range(7)]
    trials = [
        told(networks[0], state=TrialState.FAILED),
        told(networks[1], state=TrialState.INFEASIBLE, madds=300),
        told(networks[2], latency=0.001, state=TrialState.INFEASIBLE, madds=200),
        told(networks[3], latency=0.1, accuracy=0.2, state=TrialState.STOPPED),
        told(networks[4], latency=0.1, accuracy=0.3, state=TrialState.STOPPED),
        told(networks[5], latency=90.0, accuracy=0.1),
        told(networks[6], latency=80.0, accuracy=0.2),
    ]
    for size in range(2, 8):
        controller = NSGA2(SPACE, 0, population=size, crossover=0, mutations=NEVER)
        controller.tell(trials)
        assert parents(controller) == set(networks[7 - size :])


def test_a_network_told_again_takes_no_second_place() -> None:
    """By other tokens of the same network too: what was measured is equal."""
    controller = NSGA2(SPACE, 0, population=2, crossover=0, mutations=NEVER)
    a, b, c = (SPACE.sample(random.Random(seed)) for seed in range(3))
    controller.tell([told(a, 1.0, 0.5), told(b, 2.0, 0.4)])
    controller.tell([dataclasses.replace(told(c, 1.0, 0.5), cached=True)])
    assert parents(controller) == {a, b}


def test_a_complete_trial_without_a_latency_is_refused() -> None:
    with pytest.raises(ValueError, match="nsga2 learns from latency and accuracy, COMPLETE trial 0 has None ms"):
        NSGA2(SPACE).tell([told(TRIAL.tokens, None, 0.5)])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"population": 1}, "population should be a whole number from 2, got 1"),
        ({"batch": 0}, "batch should be a whole number from 1, got 0"),
        ({"crossover": 1.5}, "crossover should be a number at least 0 and at most 1, got 1.5"),
        ({"mutations": 0}, "mutations should be a number above 0, got 0"),
    ],
)
def test_bad_settings_of_nsga2_are_refused_by_name(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        NSGA2(SPACE, 0, **settings)


@pytest.mark.parametrize("space", [SPACE, accel_nasbench_space()], ids=lambda space: space.name)
def test_nsga2_finds_a_better_front_than_random_search(space: SearchSpace) -> None:
    """After 300 trials its hypervolume is larger, for each of three seeds on the simulated device and accuracy."""

    def found(controller: Controller) -> float:
        points: list[tuple[float, float]] = []
        while len(points) < 300:
            trials = [simulated_trial(space, 0, tokens) for tokens in controller.ask(controller.batch)]
            controller.tell(trials)
            points += [(trial.latency_ms or 0.0, trial.accuracy or 0.0) for trial in trials]
        return hypervolume(points[:300], (60.0, 0.5))

    for seed in range(3):
        assert found(NSGA2(space, seed)) > found(RandomSearch(space, seed))
