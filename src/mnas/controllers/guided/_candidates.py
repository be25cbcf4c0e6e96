"""Where an acquisition is high: a best-first search from good networks over changes of one choice."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mnas.controllers.guided._arrays import Floats, TokenArray
from mnas.controllers.guided._features import FeatureMap, Rows

_PER_ROUND = 200  # networks looked at in one round, about
_MIXED = 40  # of them crossings and changes of several choices
_SETTLED = 20  # best of the pool, whose neighbours were all looked at when a search ends early
_PARENTS = 40  # best of the pool that are mixed


class CandidatePool:
    """Distinct networks with what they are expected to add, grown from the best ones.

    pool = CandidatePool(feature_map, acquisition, known_codes, generator)
    pool.add(starts)
    pool.grow(rounds=8)
    tokens, rows = pool.best(100)

    Args:
        feature_map: of the space.
        acquisition: what is searched for, the more the better.
        known: codes of networks that are not to be found, though the search may start from them.
        generator: of what is drawn.
    """

    def __init__(
        self,
        feature_map: FeatureMap,
        acquisition: Callable[[Rows], Floats],
        known: set[bytes],
        generator: random.Random,
    ) -> None:
        self._map = feature_map
        self._acquisition = acquisition
        self._known = known
        self._generator = np.random.default_rng(generator.getrandbits(64))
        self._met: set[bytes] = set()
        self._tokens: TokenArray = np.zeros((0, len(feature_map.sizes)), dtype=np.int64)
        self._values: Floats = np.zeros(0)
        self._open: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._new: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._moves = one_choice_moves(feature_map.sizes)

    def add(self, tokens: TokenArray) -> None:
        """Look at these networks, those that are in the pool left out."""
        rows = self._map(tokens)
        fresh = []
        for index, codes in enumerate(rows.codes):
            key = codes.tobytes()
            if key not in self._met:
                self._met.add(key)
                fresh.append(index)
        if not fresh:
            return
        chosen = np.array(fresh, dtype=np.intp)
        rows = rows[chosen]
        unknown = np.array([codes.tobytes() not in self._known for codes in rows.codes])
        self._tokens = np.concatenate([self._tokens, tokens[chosen]])
        self._values = np.concatenate([self._values, self._acquisition(rows)])
        self._open = np.concatenate([self._open, np.ones(len(fresh), dtype=bool)])
        self._new = np.concatenate([self._new, unknown])

    def grow(self, rounds: int) -> None:
        """In each round, look at all neighbours of the best networks whose neighbours were not looked at.

        Ends early where those of the 20 best all were.
        """
        count = max(1, (_PER_ROUND - _MIXED) // max(1, len(self._moves[0])))
        for _ in range(rounds):
            if not self._open[ranked(self._values)[:_SETTLED]].any():
                return
            order = ranked(np.where(self._open, self._values, -np.inf))[:count]
            order = order[self._open[order]]
            self._open[order] = False
            neighbours = [self._neighbours(self._tokens[index]) for index in order]
            self.add(np.concatenate([*neighbours, self._mixed()]))

    def best(self, n: int) -> tuple[TokenArray, Rows]:
        """The `n` best networks that are not known, best first."""
        order = ranked(np.where(self._new, self._values, -np.inf))[:n]
        order = order[self._new[order]]
        return self._tokens[order], self._map(self._tokens[order])

    def _neighbours(self, tokens: TokenArray) -> TokenArray:
        places, steps = self._moves
        if len(places) > _PER_ROUND:
            drawn = np.sort(self._generator.choice(len(places), _PER_ROUND - _MIXED, replace=False))
            places, steps = places[drawn], steps[drawn]
        neighbours = np.repeat(tokens[None], len(places), axis=0)
        rows = np.arange(len(places))
        neighbours[rows, places] = (neighbours[rows, places] + steps) % self._map.sizes[places]
        return neighbours

    def _mixed(self) -> TokenArray:
        """Crossings of two of the best, part by part, with one or two choices changed."""
        parents = ranked(self._values)[:_PARENTS]
        pairs = parents[self._generator.integers(len(parents), size=(2, _MIXED))]
        of_second = self._generator.random((_MIXED, int(self._map.parts.max()) + 1)) < 0.3
        mixed = np.where(of_second[:, self._map.parts], self._tokens[pairs[1]], self._tokens[pairs[0]])
        rows = np.arange(_MIXED)
        for _ in range(2):
            places = self._generator.integers(len(self._map.sizes), size=_MIXED)
            mixed[rows, places] = self._generator.integers(self._map.sizes[places])
        return np.asarray(mixed)


def one_choice_moves(sizes: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Every change of one choice, as its place and what to add to its token."""
    moves = [(place, step) for place, size in enumerate(sizes.tolist()) for step in range(1, size)]
    return np.array([place for place, _ in moves], dtype=np.intp), np.array([step for _, step in moves])


def spread_design(sizes: Sequence[int], n: int, generator: random.Random) -> list[tuple[int, ...]]:
    """`n` token tuples in which each choice has all its options equally often, as far as that goes."""
    columns = []
    for size in sizes:
        column = [row % size for row in range(n)]
        offset = generator.randrange(size)  # the options that come once more are not always the first
        column = [(token + offset) % size for token in column]
        generator.shuffle(column)
        columns.append(column)
    return list(zip(*columns, strict=True))


def ranked(values: Floats) -> NDArray[np.intp]:
    """Indices by falling value, ties in their order, rounded so that last bits decide nothing."""
    finite = np.where(np.isfinite(values), values, -np.inf)
    largest = float(np.max(np.abs(finite[np.isfinite(finite)]), initial=0.0)) or 1.0
    return np.argsort(-np.round(finite / largest, 9), kind="stable")
