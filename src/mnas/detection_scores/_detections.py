"""Detections: what a detector says of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """What a model says of one image, by falling score; arrays on the CPU."""

    boxes: NDArray[np.float32]  # (n, 4): x1, y1, x2, y2 as fractions of the image, 0 to 1
    scores: NDArray[np.float32]  # (n,), 0 to 1
    classes: NDArray[np.int64]  # (n,) indices, the background not counted

    def __len__(self) -> int:
        return len(self.scores)
