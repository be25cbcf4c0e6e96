"""Inputs: what the networks see of an architecture, and a fast first layer on it.

62 numbers: which option each choice has (one column per option but the first), the logarithms of each
block's MAdds and parameters, and five totals. The counts are exact and known without data; with them
the networks' mean error is 5 % lower than with the choices alone.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mnas.space import Architecture, count_rows
from mnas.surrogates._encoder import BLOCKS, CHOICES_PER_BLOCK, TokenArray, block_combinations, encoder, with_block

Floats = NDArray[np.float32]

# Round numbers near the middle and spread of a random network's totals, so that inputs are of order one:
# log MAdds, log parameters, layers, blocks with SE, log layers.
_TOTALS_MIDDLE = np.array([19.5, 14.1, 14.5, 3.5, 2.65], dtype=np.float32)
_TOTALS_SPREAD = np.array([0.35, 0.45, 2.2, 1.5, 0.15], dtype=np.float32)
_LAYERS, _SE = 3, 2  # places in a block's tokens


class Inputs:
    """The inputs of any number of networks, from their tokens."""

    def __init__(self) -> None:
        counts = [_counts(index) for index in range(BLOCKS)]
        columns = [_columns(index, count) for index, count in enumerate(counts)]
        self._counts = [count.astype(np.float32) for count in counts]
        # (combinations, its own columns) of each block, and where these columns stand.
        self.block_columns = columns
        ends = np.cumsum([block.shape[1] for block in columns])
        self.slices = [slice(end - block.shape[1], end) for block, end in zip(columns, ends, strict=True)]
        self.size = int(ends[-1]) + len(_TOTALS_MIDDLE)

    def __call__(self, tokens: TokenArray) -> Floats:
        """The matrix (networks, 62)."""
        numbers = encoder().combinations(tokens)
        blocks = [block[numbers[:, index]] for index, block in enumerate(self.block_columns)]
        return np.concatenate([*blocks, self.totals(numbers)], axis=1)

    def totals(self, numbers: NDArray[np.intp]) -> Floats:
        """The last five inputs, from the blocks' combinations: (networks, 5)."""
        sums = self._counts[0][numbers[:, 0]]
        for index in range(1, BLOCKS):
            sums = sums + self._counts[index][numbers[:, index]]
        madds, params, layers, se = sums.T
        totals = np.stack([np.log(madds), np.log(params), layers, se, np.log(layers)], axis=1)
        scaled: Floats = (totals - _TOTALS_MIDDLE) / _TOTALS_SPREAD
        return scaled


class Projection:
    """`Inputs @ weights`, as sums of table rows: quick, and the same for one network as for many, bit for bit."""

    def __init__(self, weights: Floats) -> None:  # (62, outputs)
        inputs = network_inputs()
        self._inputs = inputs
        self._tables = [
            block @ weights[where] for block, where in zip(inputs.block_columns, inputs.slices, strict=True)
        ]
        self._totals = weights[inputs.slices[-1].stop :]

    def __call__(self, numbers: NDArray[np.intp]) -> Floats:
        """(networks, outputs), from the blocks' combinations."""
        totals = self._inputs.totals(numbers)
        result = self._tables[0][numbers[:, 0]]
        for index in range(1, BLOCKS):
            result += self._tables[index][numbers[:, index]]
        for column, weights in zip(totals.T, self._totals, strict=True):
            result += column[:, None] * weights
        return result


@cache
def network_inputs() -> Inputs:
    """The one set of inputs."""
    return Inputs()


def _counts(index: int) -> NDArray[np.float64]:
    """MAdds, parameters, layers and SE (0 or 1) of each combination of a block: (combinations, 4)."""
    rows = []
    for tokens in block_combinations(index):
        architecture = encoder().space.decode(with_block(index, tokens))
        rows.append((*_block_counts(architecture, f"block{index + 1}"), tokens[_LAYERS] + 1, tokens[_SE]))
    return np.array(rows, dtype=np.float64)


def _block_counts(architecture: Architecture, name: str) -> tuple[int, int]:
    rows = [row for row in count_rows(architecture) if row.name == name]
    return sum(row.madds for row in rows), sum(row.params for row in rows)


def _columns(index: int, counts: NDArray[np.float64]) -> Floats:
    """A block's own inputs for each of its combinations: its choices, log MAdds, log parameters."""
    tokens = np.array(block_combinations(index))
    sizes = encoder().sizes[CHOICES_PER_BLOCK * index : CHOICES_PER_BLOCK * (index + 1)]
    options = [tokens[:, [place]] == np.arange(1, size) for place, size in enumerate(sizes)]
    logs = np.log(counts[:, :2])
    return np.concatenate([*options, (logs - logs.mean(axis=0)) / logs.std(axis=0)], axis=1).astype(np.float32)
