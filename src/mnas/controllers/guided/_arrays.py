"""The two kinds of arrays that the predictor's files pass to each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TokenArray = NDArray[np.int64]  # (networks, choices)
