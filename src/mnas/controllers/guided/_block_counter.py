"""BlockCounter: what each block of a network costs, by looking up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mnas.controllers.guided._arrays import Floats, TokenArray
from mnas.space import Architecture, Block, BlockSpace, Head, Stem, Tokens, count_rows

# MAdds, parameters, layers, activations (outputs of the depthwise or only convolution, which a device has to move),
# and those of them that pass squeeze-and-excitation.
COUNTS = 5
LAYERS = 2  # their place


class BlockCounter:
    """MAdds, parameters, layers and activations of each block of networks of a `BlockSpace`.

    What a block costs depends on its own tokens and on the filters and resolution that come in; each such case is
    counted once, when it is first met.
    """

    def __init__(self, space: BlockSpace) -> None:
        self._space = space
        self.blocks = len(space.blocks)
        self._names = [[name for name, opts in row.options().items() if len(opts) > 1] for row in space.blocks]
        ends = np.cumsum([len(names) for names in self._names])
        self._slices = [slice(int(end) - len(names), int(end)) for end, names in zip(ends, self._names, strict=True)]
        sizes = [[len(opts) for opts in row.options().values() if len(opts) > 1] for row in space.blocks]
        self._sizes = sizes
        self._strides = [np.cumprod([1, *row[:0:-1]])[: len(row)][::-1].astype(np.int64) for row in sizes]
        self._combinations = [math.prod(row) for row in sizes]
        self._lookup = [np.zeros(0, dtype=np.int64) for _ in space.blocks]  # state and combination to case, or -1
        self._empty: list[dict[int, int]] = [{} for _ in space.blocks]  # state to the case of no layers
        self._cases: list[list[tuple[float, ...]]] = [[] for _ in space.blocks]
        self._nexts: list[list[int]] = [[] for _ in space.blocks]
        self._arrays: list[tuple[Floats, TokenArray]] = [_as_arrays([], []) for _ in space.blocks]  # of the two
        self._states: dict[tuple[int, int], int] = {}  # (filters, resolution) that come in
        self._state_list: list[tuple[int, int]] = []
        self._after_stem = self._behind_stem()

    def __call__(self, tokens: TokenArray) -> tuple[TokenArray, Floats]:
        """Which case each block is, (networks, blocks), and its counts, (networks, blocks, 3)."""
        states = np.full(len(tokens), self._state(self._after_stem), dtype=np.int64)
        codes = np.empty((len(tokens), self.blocks), dtype=np.int64)
        counts = np.empty((len(tokens), self.blocks, COUNTS))
        for index in range(self.blocks):
            numbers = states * self._combinations[index] + tokens[:, self._slices[index]] @ self._strides[index]
            cases = self._cases_of(index, numbers)
            values, nexts = self._arrays[index]
            codes[:, index], counts[:, index], states = cases, values[cases], nexts[cases]
        return codes, counts

    def _behind_stem(self) -> tuple[int, int]:
        architecture = self._space.decode((0,) * len(self._space.choices))
        stem = next(count_rows(architecture))
        return architecture.stem.filters, stem.resolution

    def _state(self, state: tuple[int, int]) -> int:
        if state not in self._states:
            self._states[state] = len(self._state_list)
            self._state_list.append(state)
        return self._states[state]

    def _cases_of(self, index: int, numbers: TokenArray) -> TokenArray:
        """The cases of a block, by number of state and combination; new ones are counted."""
        size = len(self._state_list) * self._combinations[index]
        if len(self._lookup[index]) < size:
            more = np.full(size - len(self._lookup[index]), -1, dtype=np.int64)
            self._lookup[index] = np.concatenate([self._lookup[index], more])
        lookup = self._lookup[index]
        cases = lookup[numbers]
        if (cases < 0).any():
            for number in np.unique(numbers[cases < 0]).tolist():
                lookup[number] = self._new_case(index, *divmod(number, self._combinations[index]))
            self._arrays[index] = _as_arrays(self._cases[index], self._nexts[index])
            cases = lookup[numbers]
        return np.asarray(cases)

    def _new_case(self, index: int, state: int, combination: int) -> int:
        block = self._block(index, _digits(combination, self._sizes[index]))
        if block is None and state in self._empty[index]:
            return self._empty[index][state]  # whatever the other answers are
        case = len(self._cases[index])
        if block is None:
            self._empty[index][state] = case
        counts, after = _counted(block, self._state_list[state])
        self._cases[index].append(counts)
        self._nexts[index].append(self._state(after))
        return case

    def _block(self, index: int, tokens: Tokens) -> Block | None:
        row = self._space.blocks[index]
        answers = {name: options[0] for name, options in row.options().items()}
        for name, token in zip(self._names[index], tokens, strict=True):
            answers[name] = row.options()[name][token]
        return row.block(answers, self._space.width)


def _as_arrays(cases: Sequence[tuple[float, ...]], nexts: Sequence[int]) -> tuple[Floats, TokenArray]:
    return np.array(cases, dtype=np.float64).reshape(-1, COUNTS), np.array(nexts, dtype=np.int64)


def _counted(block: Block | None, incoming: tuple[int, int]) -> tuple[tuple[float, ...], tuple[int, int]]:
    """A block's counts behind the filters and resolution that come in, and those that it gives out."""
    if block is None:
        return (0.0,) * COUNTS, incoming
    filters, resolution = incoming
    rows = list(count_rows(Architecture((block,), Stem(1, 1, filters), Head(1, 1), resolution)))[1:-1]
    layers = block.expanded(filters)
    sizes = [layer.hidden_filters * row.resolution**2 for layer, row in zip(layers, rows, strict=True)]
    squeezed = [size for layer, size in zip(layers, sizes, strict=True) if layer.se_filters]
    counts = (sum(row.madds for row in rows), sum(row.params for row in rows), len(rows), sum(sizes), sum(squeezed))
    return tuple(map(float, counts)), (block.filters, rows[-1].resolution)


def _digits(number: int, sizes: Sequence[int]) -> Tokens:
    digits = []
    for size in reversed(sizes):
        number, digit = divmod(number, size)
        digits.append(digit)
    return tuple(reversed(digits))
