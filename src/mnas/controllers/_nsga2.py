"""NSGA-II: a population ranked by non-domination and crowding (Deb et al. 2002), for latency and accuracy."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnas.controllers._checks import check_number, check_space, check_whole
from mnas.controllers._snapshot import packed_random, unpacked_random, unpacked_tokens
from mnas.pareto import front_indices
from mnas.space import SearchSpace, Tokens
from mnas.trial import Trial, TrialState

_TRIES = 20  # at a child that was not proposed before, ere one is proposed again


@dataclass(frozen=True, slots=True)
class _Member:
    """A trial as selection sees it. `violation` is (0, 0) for what a search may choose; smaller is better."""

    tokens: Tokens
    latency_ms: float
    accuracy: float
    violation: tuple[int, float]


class NSGA2:
    """Searches the whole front of latency and accuracy: it reads both of a trial, and not its reward.

    Deb et al. 2002 ("A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II"): parents and children
    together are ranked by non-dominated sorting, the last rank that fits in part by crowding distance;
    parents win binary tournaments by (rank, crowding). Different here: tokens are crossed uniformly, choice
    by choice, and a mutation answers a choice by any other option, for most choices have no order; a child
    that was proposed before is made again, up to 20 times, for a second training of it tells nothing.

    Constraint-domination (their section VI.A): COMPLETE trials come first; then STOPPED ones, whose accuracy
    is of a training cut short, by that accuracy; then INFEASIBLE ones by MAdds, of which every cap wants
    less; FAILED ones last. A cached trial whose latency and accuracy the population has already is left out.

    Args:
        space: where to search.
        seed: of the controller's own generator.
        population: how many survive; until so many were told, proposals are random.
        batch: children per ask, ranked together with their parents when told. The paper's is the population.
        crossover: probability that a child has two parents rather than one.
        mutations: choices of a child that are answered anew, on average.

    Raises:
        SettingsError: a setting is out of its range, or the space has nothing to choose.
    """

    asynchronous = True  # children that join one by one meet the same selection

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        *,
        population: int = 30,
        batch: int = 5,
        crossover: float = 0.9,
        mutations: float = 1.0,
    ) -> None:
        check_space(space)
        check_whole("population", population, 2)
        check_whole("batch", batch)
        check_number("crossover", crossover, 0, 1)
        check_number("mutations", mutations, 0, low_open=True)
        self.batch = batch
        self._space = space
        self._random = random.Random(seed)
        self._size = population
        self._crossover = crossover
        self._open = [i for i, choice in enumerate(space.choices) if len(choice.options) > 1]
        self._rate = min(1.0, mutations / len(self._open))
        self._told = 0
        self._seen: set[Tokens] = set()  # proposed before
        self._untold: set[Tokens] = set()  # of them, what was not told
        self._population: list[_Member] = []  # best first: by (rank, crowding)

    def ask(self, n: int) -> list[Tokens]:
        """`n` proposals."""
        return [self._new() for _ in range(n)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials join the population, and the best of it survive.

        Raises:
            ValueError: a COMPLETE trial without latency or accuracy.
        """
        self._told += len(trials)
        self._untold -= {trial.tokens for trial in trials}
        known = {_identity(member) for member in self._population}
        for member in map(_member, trials):
            if _identity(member) not in known:
                known.add(_identity(member))
                self._population.append(member)
        self._population = _ranked(self._population)[: self._size]

    def snapshot(self) -> dict[str, Any]:
        """The population, what is open, and the generator's state."""
        members = [
            [m.tokens, m.latency_ms if math.isfinite(m.latency_ms) else None, m.accuracy, m.violation]
            for m in self._population
        ]
        return {"random": packed_random(self._random), "population": members, "open": sorted(self._untold)}

    def restore(self, snapshot: Mapping[str, Any], told: Sequence[Trial]) -> None:
        """Go on as the controller of the snapshot."""
        population = [
            _Member(tuple(tokens), math.inf if latency is None else latency, accuracy, (rank, amount))
            for tokens, latency, accuracy, (rank, amount) in snapshot["population"]
        ]
        opened = set(unpacked_tokens(snapshot["open"]))
        self._random = unpacked_random(snapshot["random"])
        self._population, self._untold, self._told = population, opened, len(told)
        self._seen = {trial.tokens for trial in told} | opened

    def _new(self) -> Tokens:
        """A proposal that was not made before, as far as `_TRIES` reach."""
        for _ in range(_TRIES):
            tokens = self._proposal()
            if tokens not in self._seen:
                break
        self._seen.add(tokens)
        self._untold.add(tokens)
        return tokens

    def _proposal(self) -> Tokens:
        if self._told < self._size or not self._population:
            return self._space.sample(self._random)
        child = self._parent()
        if self._random.random() < self._crossover:
            other = self._parent()
            child = tuple(self._random.choice(pair) for pair in zip(child, other, strict=True))
        return self._mutated(child)

    def _parent(self) -> Tokens:
        # The population is sorted, so the lower place is the better rank or the wider crowding distance.
        places = range(len(self._population))
        return self._population[min(self._random.choice(places), self._random.choice(places))].tokens

    def _mutated(self, tokens: Tokens) -> Tokens:
        changed = list(tokens)
        for position in self._open:
            if self._random.random() < self._rate:
                options = len(self._space.choices[position].options)
                changed[position] = (changed[position] + self._random.randrange(1, options)) % options
        return tuple(changed)


def _member(trial: Trial) -> _Member:
    latency, accuracy = trial.latency_ms, trial.accuracy
    if trial.state is TrialState.COMPLETE:
        if latency is None or accuracy is None or not (math.isfinite(latency) and math.isfinite(accuracy)):
            raise ValueError(
                f"nsga2 learns from latency and accuracy, COMPLETE trial {trial.number} has {latency} ms and "
                f"{accuracy}: measure both, or tell it as FAILED"
            )
        return _Member(trial.tokens, latency, accuracy, (0, 0.0))
    return _Member(trial.tokens, latency or math.inf, accuracy or 0.0, _violation(trial))


def _violation(trial: Trial) -> tuple[int, float]:
    if trial.state is TrialState.STOPPED:
        return (1, -(trial.accuracy or 0.0))
    if trial.state is TrialState.INFEASIBLE:
        return (2, float(trial.measurement.madds))
    return (3, 0.0)


def _identity(member: _Member) -> object:
    """Equal for two trials of one network: by what was measured, as two token tuples may mean the same."""
    return (member.latency_ms, member.accuracy) if member.violation == (0, 0.0) else member.tokens


def _ranked(members: Sequence[_Member]) -> list[_Member]:
    """Best first: the ranks one after the other, within each by crowding distance, then what violates."""
    feasible = [member for member in members if member.violation == (0, 0.0)]
    ranked: list[_Member] = []
    while feasible:
        places = front_indices((member.latency_ms, member.accuracy) for member in feasible)
        front = [feasible[place] for place in places]
        distances = _crowding(front)
        ranked += [front[i] for i in sorted(range(len(front)), key=lambda i: -distances[i])]
        taken = set(places)
        feasible = [member for place, member in enumerate(feasible) if place not in taken]
    rest = [member for member in members if member.violation != (0, 0.0)]
    return ranked + sorted(rest, key=lambda member: member.violation)


def _crowding(front: Sequence[_Member]) -> list[float]:
    """Crowding distance of each member of a front that rises in both latency and accuracy; infinite at the ends.

    Deb et al. 2002, section III.B: the sum over objectives of the distance between a member's neighbours, as
    a part of the front's whole width.
    """
    width_ms = front[-1].latency_ms - front[0].latency_ms
    width_accuracy = front[-1].accuracy - front[0].accuracy
    inner = [
        (after.latency_ms - before.latency_ms) / width_ms + (after.accuracy - before.accuracy) / width_accuracy
        for before, after in zip(front, front[2:], strict=False)
    ]
    return [math.inf, *inner, math.inf][: len(front)]
