"""Domain: where the data lie, and how far from them a network is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnas.surrogates._encoder import BLOCKS, TokenArray, encoder
from mnas.surrogates._file import SurrogateFile
from mnas.surrogates._inputs import Projection

FEW_ROWS = 20  # fewer training rows with a block's combination of answers than this: too few to rely on
_CHUNK = 256


class Domain:
    """Two views of how well the data cover a network.

    `distance` is Mahalanobis' from the rows' mean inputs, per root of inputs: about 1 for a typical row. The
    error of predictions grows with it. `rows_alike` is the number of rows that answer the network's rarest
    block in the same way: some combinations did not fit into the memory that the networks were trained with.
    """

    def __init__(self, file: SurrogateFile) -> None:
        self._counts = file.array("domain_counts").astype(np.int64)  # (7, most combinations)
        whitening = file.array("domain_whitening").astype(np.float32)  # (62, 62)
        self._whiten = Projection(whitening)
        self._mean = file.array("domain_mean").astype(np.float32) @ whitening
        self._farthest = float(file.array("domain_farthest")[0])  # row of the data

    def __call__(self, tokens: TokenArray) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
        """Distance, rows alike and whether that is far, each (networks,)."""
        numbers = encoder().combinations(tokens)
        distance = np.empty(len(tokens), dtype=np.float64)
        for start in range(0, len(tokens), _CHUNK):
            white = self._whiten(numbers[start : start + _CHUNK]) - self._mean
            distance[start : start + _CHUNK] = np.sqrt((white * white).mean(axis=1))
        alike = self._counts[np.arange(BLOCKS), numbers].min(axis=1)
        return distance, alike, (distance > self._farthest) | (alike < FEW_ROWS)
