"""Prediction: what a surrogate says of some networks, and how far to believe it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas.surrogates._domain import FEW_ROWS


@dataclass(frozen=True)
class Prediction:
    """Arrays of one entry per network, in the surrogate's unit.

    `sd` is such that the truth (one training, one measurement) lies within `mean` plus or minus `sd` in 68 %
    of cases, and between `low` and `high` in 95 %; docs/surrogates.md has how often it really does.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    distance: NDArray[np.float64]  # from the data: about 1 for a typical row
    rows_alike: NDArray[np.int64]  # rows of the data that have the network's rarest block
    far: NDArray[np.bool_]  # too far from the data to rely on

    def remark(self, index: int) -> str:
        """One sentence on a network that lies far from the data; empty where none is needed."""
        if not self.far[index]:
            return ""
        if self.rows_alike[index] < FEW_ROWS:
            return f"one of its blocks occurs in only {self.rows_alike[index]} rows of the data"
        return f"it lies farther from the data's middle ({self.distance[index]:.2f}) than any row of the data"
