"""What a predictor sees of proposals: which option each choice has, and counts that cost nothing to know."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mnas.controllers.guided._arrays import Floats, TokenArray
from mnas.controllers.guided._block_counter import LAYERS, BlockCounter
from mnas.space import BlockSpace, SearchSpace

_SCALING_SAMPLE = 256  # networks that say how far counts spread; drawn alike for every seed
_LOGS = {0: "log MAdds", 1: "log parameters", LAYERS: "log layers"}  # by their place among the counts
_PLAIN = {0: "MAdds", 3: "activations", 4: "SE activations"}


@dataclass(frozen=True)
class Rows:
    """Networks as a predictor sees them."""

    tokens: TokenArray  # (networks, choices)
    features: Floats  # (networks, features)
    codes: TokenArray  # (networks, parts): equal codes of a part mean equal features of it

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def distinct(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Per part: a row for each different code, and which of these each row is like."""
        return [_distinct(column) for column in self.codes.T]

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Rows:
        return Rows(self.tokens[index], self.features[index], self.codes[index])


@dataclass(frozen=True)
class Group:
    """Columns that share a length scale: the options of one choice, or one count."""

    name: str
    part: int  # of the network: 0 for the whole, from 1 for its blocks
    columns: tuple[int, ...]
    is_cost: bool = False  # in plain numbers, as costs add up; an accuracy follows their logarithms


class FeatureMap:
    """Tokens (networks, choices) to `Rows`, whose features are grouped by what they tell of.

    One group per choice: which option it has, two different ones at distance 1. In a `BlockSpace` also, per block
    and in total, counts that are exact and known without data, in standard deviations of random networks: the
    logarithms of MAdds, parameters and layers, which accuracies follow; and plain MAdds, activations and activations
    that pass squeeze-and-excitation, of which latencies are sums. The choices of a block that is left out, which
    mean nothing, read as zero there. Other spaces have their choices alone. A part is a block: the choices whose
    names share what stands before the dot.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.sizes = np.array([len(choice.options) for choice in space.choices])
        self._offsets = np.cumsum([0, *self.sizes[:-1]])
        self.parts = np.array(_parts(space))
        self._met: dict[tuple[int, bytes], int] = {}
        self._counter = BlockCounter(space) if isinstance(space, BlockSpace) else None
        self._middle, self._spread, self._kept = self._scaling()
        self.groups = (*self._choice_groups(), *self._count_groups())
        self.size = sum(len(group.columns) for group in self.groups)

    def __call__(self, tokens: TokenArray) -> Rows:
        """(networks, choices) to rows."""
        options = np.zeros((len(tokens), int(self.sizes.sum())))
        np.put_along_axis(options, tokens + self._offsets, np.sqrt(0.5), axis=1)
        if self._counter is None:
            return Rows(tokens, options, self._codes(tokens))
        codes, counts = self._counter(tokens)
        empty = counts[:, :, LAYERS] == 0
        if empty.any():
            options *= np.repeat(~empty[:, self.parts - 1], self.sizes, axis=1)
        numbers = (self._numbers(counts) - self._middle) / self._spread
        return Rows(tokens, np.concatenate([options, numbers[:, self._kept]], axis=1), codes)

    def sample(self, n: int, generator: random.Random) -> TokenArray:
        """`n` rows drawn uniformly."""
        return np.array([self.space.sample(generator) for _ in range(n)], dtype=np.int64).reshape(n, len(self.sizes))

    def _codes(self, tokens: TokenArray) -> TokenArray:
        """A number per part and combination of its tokens, in the order they are met."""
        codes = np.empty((len(tokens), int(self.parts.max())), dtype=np.int64)
        for part in range(codes.shape[1]):
            for row, answers in enumerate(tokens[:, self.parts == part + 1]):
                key = (part, answers.tobytes())
                codes[row, part] = self._met.setdefault(key, len(self._met))
        return codes

    def _numbers(self, counts: Floats) -> Floats:
        """Per block and in total: (networks, blocks, 5) to (networks, (blocks + 1) x 6)."""
        every = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
        # A block may be empty, and what it adds then is little beside the typical one, not infinitely less.
        logs = np.log(every[:, :, list(_LOGS)] + 0.1 * self._typical[:, list(_LOGS)])
        return np.concatenate([logs, every[:, :, list(_PLAIN)]], axis=2).reshape(len(counts), -1)

    def _scaling(self) -> tuple[Floats, Floats, NDArray[np.intp]]:
        if self._counter is None:
            return np.zeros(0), np.ones(0), np.zeros(0, dtype=np.intp)
        sample = self.sample(_SCALING_SAMPLE, random.Random(0))
        _, counts = self._counter(sample)
        typical = counts.mean(axis=0)
        self._typical = np.concatenate([typical, typical.sum(axis=0, keepdims=True)])
        numbers = self._numbers(counts)
        spread = numbers.std(axis=0)
        kept = np.flatnonzero(spread > 1e-9)
        return numbers.mean(axis=0), np.where(spread > 1e-9, spread, 1.0), kept

    def _choice_groups(self) -> list[Group]:
        return [
            Group(choice.name, part, tuple(range(offset, offset + size)))
            for choice, part, offset, size in zip(
                self.space.choices, self.parts, self._offsets.tolist(), self.sizes.tolist(), strict=True
            )
        ]

    def _count_groups(self) -> list[Group]:
        start, groups = int(self.sizes.sum()), []
        names = (*_LOGS.values(), *_PLAIN.values())
        for place, column in enumerate(self._kept.tolist()):
            block, count = divmod(column, len(names))
            whole = self._counter is not None and block == self._counter.blocks
            name = f"{'network' if whole else f'block{block + 1}'} {names[count]}"
            groups.append(Group(name, 0 if whole else block + 1, (start + place,), is_cost=count >= len(_LOGS)))
        return groups


def _parts(space: SearchSpace) -> list[int]:
    """Each choice's part of the network, from 1: its block, by what stands before the dot of its name."""
    names = [choice.name.partition(".")[0] for choice in space.choices]
    if isinstance(space, BlockSpace):
        return [int(name.removeprefix("block")) for name in names]
    return [1 + list(dict.fromkeys(names)).index(name) for name in names]


def _distinct(codes: TokenArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    _, first, like = np.unique(codes, return_index=True, return_inverse=True)
    # In the order of the rows: that of the codes is the order in which they were met, which a look at other networks
    # changes, and with it the last bits of sums.
    order = np.argsort(first)
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    return first[order], place[like.reshape(-1)]
