"""The interval of an accuracy that was counted on finitely many images."""

from __future__ import annotations

import math

from mnas.errors import SettingsError

_Z95 = 1.959964


def binomial_interval(accuracy: float, images: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a fraction `accuracy` of `images` (Wilson 1927).

    >>> low, high = binomial_interval(0.98, 360)
    >>> round(low, 3), round(high, 3)
    (0.96, 0.99)

    Raises:
        SettingsError: no images, or an accuracy outside 0 to 1.
    """
    if images < 1 or not 0 <= accuracy <= 1:
        raise SettingsError(
            f"an interval needs an accuracy from 0 to 1 and at least one image, got {accuracy}, {images}"
        )
    spread = _Z95**2 / images
    centre = (accuracy + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * math.sqrt(accuracy * (1 - accuracy) / images + spread / (4 * images))
    # At the ends it touches the accuracy itself, which rounding must not leave outside.
    return min(accuracy, max(0.0, centre - half)), max(accuracy, min(1.0, centre + half))
