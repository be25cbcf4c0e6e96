"""The random crop that SSD trains with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnas.datasets._decode import Box

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
# The least overlap (IoU) of the window with some box that is kept in it. 0: any window; 1: the whole image.
_OVERLAPS = (1.0, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
_TRIES = 50
_LEAST_SCALE = 0.3
_ASPECTS = (0.5, 2.0)

Floats = NDArray[np.float64]


def ssd_crop(boxes: Floats, generator: np.random.Generator) -> tuple[Box, NDArray[np.int64]]:
    """A window of the image, and which of its boxes are kept: those whose centre lies inside.

    `boxes` and the window are x1, y1, x2, y2 as fractions of the image. The whole image, any window, or one that
    overlaps with some kept box by at least .1, .3, .5, .7 or .9, each as likely as the others of those that are
    found in 50 tries (Liu et al. 2016, section 2.2; scales and aspect ratios as their code has them). A window
    without any box is taken only of an image without any.
    """
    for overlap in generator.permutation(_OVERLAPS):
        if overlap == 1.0:
            break
        windows = _windows(generator)
        holds = _holds(windows, boxes)
        # -1 where boxes are there and none is kept: no overlap is as small as that.
        best = np.where(holds, _ious(windows, boxes), -1.0).max(1, initial=-1.0 if len(boxes) else 0.0)
        if (best >= overlap).any():
            first = int((best >= overlap).argmax())
            left, top, right, bottom = windows[first].tolist()
            return (left, top, right, bottom), np.flatnonzero(holds[first])
    return WHOLE, np.arange(len(boxes))


def boxes_in(window: Box, boxes: Floats) -> Floats:
    """Boxes as fractions of a window, clipped to it."""
    left, top, right, bottom = window
    start, size = np.array([left, top, left, top]), np.array([right - left, bottom - top] * 2)
    return np.asarray(np.clip((boxes - start) / size, 0.0, 1.0), dtype=np.float64)


def _windows(generator: np.random.Generator) -> Floats:
    """(tries, 4): scales from .3 to 1, aspect ratios from 1/2 to 2 as far as they fit, anywhere in the image."""
    scale = generator.uniform(_LEAST_SCALE, 1.0, _TRIES)
    aspect = generator.uniform(np.maximum(_ASPECTS[0], scale**2), np.minimum(_ASPECTS[1], scale**-2))
    size = np.stack([scale * np.sqrt(aspect), scale / np.sqrt(aspect)], 1).clip(max=1.0)
    start = generator.uniform(0.0, 1.0 - size)
    return np.concatenate([start, (start + size).clip(max=1.0)], 1)


def _holds(windows: Floats, boxes: Floats) -> NDArray[np.bool_]:
    """(windows, boxes): whether the box's centre lies inside."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centres > windows[:, None, :2]) & (centres < windows[:, None, 2:])
    return np.asarray(inside.all(2))


def _ious(windows: Floats, boxes: Floats) -> Floats:
    """(windows, boxes): area of the intersection over that of the union."""
    start = np.maximum(windows[:, None, :2], boxes[:, :2])
    end = np.minimum(windows[:, None, 2:], boxes[:, 2:])
    both = (end - start).clip(min=0.0).prod(2)
    areas: Floats = _areas(windows)[:, None] + _areas(boxes) - both
    return np.asarray(both / areas, dtype=np.float64)


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1), dtype=np.float64)
