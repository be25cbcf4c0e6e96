"""A sum of tables, each over a few choices: what a per-block latency table is, and what boosted trees are.

A tree with three splits asks about three choices at most, so a sum of such trees is, exactly, a sum of
tables over at most three choices each. Looking up is much faster than walking thousands of trees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnas.surrogates._encoder import TokenArray, encoder
from mnas.surrogates._file import SurrogateFile

NO_CHOICE = 255  # pads the rows of choices of smaller tables
_CHUNK = 256  # networks at a time, so that what is in between stays in the processor's cache


class TableSum:
    """`offset` plus one entry of each table."""

    def __init__(self, file: SurrogateFile) -> None:
        choices = file.array("table_choices")  # (tables, most choices of a table)
        self._values = file.array("table_values").astype(np.float32)  # one table after the other
        self._offset = np.float64(file.array("table_offset")[0])
        self._strides, self._starts = table_layout(choices)

    def __call__(self, tokens: TokenArray) -> NDArray[np.float64]:
        """The sums, (networks,)."""
        sums = np.empty(len(tokens), dtype=np.float64)
        for start in range(0, len(tokens), _CHUNK):
            # Whole numbers far below 2^24: exact in float32, where matrix products are fast.
            places = tokens[start : start + _CHUNK].astype(np.float32) @ self._strides + self._starts
            sums[start : start + _CHUNK] = self._values[places.astype(np.int32)].sum(axis=1)
        return sums + self._offset


def table_layout(choices: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where an entry lies: strides (28, tables) and the tables' starts (tables,). The last choice varies fastest."""
    sizes = encoder().sizes.astype(int)
    strides = np.zeros((len(sizes), len(choices)), dtype=np.float32)
    starts = np.zeros(len(choices), dtype=np.float32)
    end = 0
    for table, row in enumerate(choices):
        starts[table] = end
        entries = 1
        for choice in reversed([int(choice) for choice in row if choice != NO_CHOICE]):
            strides[choice, table] = entries
            entries *= sizes[choice]
        end += entries
    return strides, starts
