"""SSD's random crops: which boxes they keep, and where these lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.datasets._ssd_crop import WHOLE, boxes_in, ssd_crop

FRACTION = st.floats(0, 0.98)
SIDE = st.floats(1e-3, 1)


@st.composite
def some_boxes(draw: st.DrawFn) -> np.ndarray:
    """Up to eight boxes of any size inside the image, also none."""
    rows = draw(st.lists(st.tuples(FRACTION, FRACTION, SIDE, SIDE), max_size=8))
    return np.array([(x, y, min(1, x + wide), min(1, y + high)) for x, y, wide, high in rows]).reshape(-1, 4)


@settings(max_examples=200, deadline=None)
@given(boxes=some_boxes(), seed=st.integers(0, 2**32))
def test_a_crop_keeps_the_boxes_whose_centres_lie_inside_and_clips_them(boxes, seed):
    window, kept = ssd_crop(boxes, np.random.default_rng(seed))
    left, top, right, bottom = window
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    if window != WHOLE:
        inside = ((centres > [left, top]) & (centres < [right, bottom])).all(1)
        assert kept.tolist() == np.flatnonzero(inside).tolist()
    assert len(kept) or not len(boxes)
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    found = boxes_in(window, boxes[kept])
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[:, :2] < found[:, 2:]).all()
    # Back in the image they are what the window leaves of them.
    size = np.array([right - left, bottom - top] * 2)
    corner = np.array([left, top] * 2)
    expected = np.clip(boxes[kept], corner, corner + size)
    np.testing.assert_allclose(found * size + corner, expected, atol=1e-9)


def crops(boxes, count=600):
    generator = np.random.default_rng(0)
    return [ssd_crop(boxes, generator) for _ in range(count)]


def overlap(window, box):
    wide = min(window[2], box[2]) - max(window[0], box[0])
    high = min(window[3], box[3]) - max(window[1], box[1])
    both = max(0, wide) * max(0, high)
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (window, box)]
    return both / (sum(areas) - both)


def test_crops_have_the_scales_and_aspect_ratios_of_ssd():
    """Scale .3 to 1, which is .09 to 1 of the area; width over height from 1/2 to 2."""
    windows = np.array([window for window, _ in crops(np.array([[0.2, 0.2, 0.7, 0.8]])) if window != WHOLE])
    sides = windows[:, 2:] - windows[:, :2]
    assert 0.09 <= sides.prod(1).min() < 0.15
    assert 0.85 < sides.prod(1).max() <= 1
    aspects = sides[:, 0] / sides[:, 1]
    assert 0.5 - 1e-9 <= aspects.min() < 0.6
    assert 1.7 < aspects.max() <= 2 + 1e-9


def test_each_overlap_is_as_likely_as_the_whole_image():
    """With a box of 85 % of the image, windows of every overlap are found: one crop in seven is the whole image.

    600 draws: outside of .143 +- .05 by chance once in two thousand times.
    """
    box = np.array([[0.04, 0.04, 0.96, 0.96]])
    found = crops(box)
    assert abs(sum(window == WHOLE for window, _ in found) / 600 - 1 / 7) < 0.05
    assert sum(overlap(window, box[0]) >= 0.9 for window, _ in found) / 600 > 1 / 7 - 0.05


def test_a_small_box_is_cropped_by_the_overlaps_that_it_can_have():
    """Of a box that covers a hundredth, no window overlaps by .3 or more: then another of the options is taken."""
    box = np.array([[0.5, 0.5, 0.6, 0.6]])
    found = crops(box)
    assert max(overlap(window, box[0]) for window, _ in found) < 0.3
    assert sum(window == WHOLE for window, _ in found) < 600 / 2 + 60


def test_an_image_without_boxes_is_cropped_too():
    found = crops(np.empty((0, 4)), 200)
    assert {len(kept) for _, kept in found} == {0}
    assert 60 < sum(window == WHOLE for window, _ in found) < 140  # 1 in 2; outside once in a hundred million times


@pytest.mark.parametrize("seed", [0, 1])
def test_crops_follow_their_generator(seed):
    boxes = np.array([[0.1, 0.1, 0.4, 0.6], [0.5, 0.3, 0.9, 0.5]])
    once, again = (ssd_crop(boxes, np.random.default_rng(seed)) for _ in range(2))
    assert once[0] == again[0]
    assert once[1].tolist() == again[1].tolist()
