"""DigitsDataset: scikit-learn's handwritten digits, which come with the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

from mnas.datasets._array_dataset import ArrayDataset, Arrays
from mnas.datasets._split import stratified_split

_TEST_IMAGES = 360  # a fifth
_TEST_SEED = 0


@dataclass(frozen=True, kw_only=True)
class DigitsDataset(ArrayDataset):
    """1,797 grey digits of 8x8 pixels (Alpaydin and Kaynak 1998), upsampled.

    They come without splits: 360 images, stratified and always the same, are the test split, and a quarter
    of the rest is held out for the search.
    """

    name = "digits"

    resolution: int = 16
    validation: float = 0.25

    def load(self) -> Arrays:
        """The images, their 17 grey values spread over 0 to 255."""
        digits = load_digits()
        images = np.round(digits.images * (255 / 16)).astype(np.uint8)
        rest, test = stratified_split(digits.target, _TEST_IMAGES, _TEST_SEED)
        names = tuple(str(name) for name in digits.target_names)
        return Arrays(images[rest], digits.target[rest], images[test], digits.target[test], names, "digits")
