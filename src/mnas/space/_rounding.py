"""The two roundings of filters: the search's own, and the official width multiplier's."""

from __future__ import annotations

import math


def round_choice(filters: float) -> int:
    """Filters of a choice: the nearest multiple of 16 from 96 on, of 8 below; ties go down everywhere.

    The paper does not say how 0.75 and 1.25 times a width are rounded. Under this rule MnasNet-A1 and -B1,
    which the search found, are members of the space; Python's `round` would give 128 where A1 has 112.

    >>> [round_choice(base * 1.25) for base in (16, 24, 32, 64, 96, 160, 320)]
    [16, 32, 40, 80, 112, 192, 400]
    """
    multiple = 16 if filters >= 96 else 8
    return max(multiple, math.ceil(filters / multiple - 0.5) * multiple)


def round_filters(filters: int, width: float) -> int:
    """Filters under a width multiplier, as the official code rounds them (tensorflow/tpu, mnasnet_model.py)."""
    if width == 1:
        return filters
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
