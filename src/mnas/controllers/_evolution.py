"""Regularized evolution: the best of a random few is mutated, the oldest dies (Real et al. 2019)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from mnas.controllers._checks import check_space, check_whole, rewards_of
from mnas.controllers._snapshot import packed_random, unpacked_random
from mnas.errors import SettingsError
from mnas.space import SearchSpace, Tokens
from mnas.trial import Trial


class RegularizedEvolution:
    """Keeps the latest `population` trials and mutates winners of tournaments among them.

    Real et al. 2019 ("Regularized Evolution for Image Classifier Architecture Search", Algorithm 1), with one
    difference: a mutation here answers one choice of the space differently, there it changes one operation
    or connection of a cell. Trials of every state join the population with the reward they were given.

    Args:
        space: where to search.
        seed: of the controller's own generator.
        population: how many trials are alive; until there are so many, proposals are random.
        tournament: how many of them, drawn with replacement, compete to be a parent. The paper has 100 and
            25; a population of 50 suits searches of hundreds of trials rather than its twenty thousand.
        batch: children per ask, made from the same population, in a synchronous search.

    Raises:
        SettingsError: a setting is out of its range, or the space has nothing to choose.
    """

    asynchronous = True  # as in the paper, whose workers come and go one by one

    def __init__(
        self, space: SearchSpace, seed: int = 0, *, population: int = 50, tournament: int = 25, batch: int = 10
    ) -> None:
        check_space(space)
        check_whole("population", population)
        check_whole("tournament", tournament)
        check_whole("batch", batch)
        if tournament > population:
            raise SettingsError(f"tournament should be at most the population of {population}, got {tournament}")
        self.batch = batch
        self._space = space
        self._random = random.Random(seed)
        self._tournament = tournament
        # Tokens and rewards, the oldest first; full, it drops the oldest whenever a trial is added.
        self._population: deque[tuple[Tokens, float]] = deque(maxlen=population)

    def ask(self, n: int) -> list[Tokens]:
        """`n` proposals."""
        if len(self._population) < (self._population.maxlen or 0):
            return [self._space.sample(self._random) for _ in range(n)]
        return [self._space.mutate(self._parent(), self._random) for _ in range(n)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials join the population, the oldest of it die."""
        for trial, reward in zip(trials, rewards_of(trials), strict=True):
            self._population.append((trial.tokens, reward))

    def snapshot(self) -> dict[str, Any]:
        """The population, the oldest first, and the generator's state."""
        return {"random": packed_random(self._random), "population": list(self._population)}

    def restore(self, snapshot: Mapping[str, Any], told: Sequence[Trial]) -> None:
        """Go on as the controller of the snapshot."""
        population = [(tuple(tokens), reward) for tokens, reward in snapshot["population"]]
        self._random = unpacked_random(snapshot["random"])
        self._population.extend(population)

    def _parent(self) -> Tokens:
        candidates = self._random.choices(self._population, k=self._tournament)
        tokens, _ = max(candidates, key=lambda member: member[1])
        return tokens
