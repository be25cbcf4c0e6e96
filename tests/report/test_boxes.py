"""Promises of drawn detections: boxes lie where they should, in every picture, and labels can be told apart."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mnas.errors import SettingsError
from mnas.models import Detections
from mnas.report import draw_boxes
from mnas.report._boxes import class_colour


def detections(*rows: tuple[float, ...]) -> Detections:
    """Rows of x1, y1, x2, y2, score, class."""
    table = np.asarray(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def coloured(picture: Image.Image, index: int) -> np.ndarray:
    """Where the picture has a class's colour (height, width)."""
    return (np.asarray(picture) == class_colour(index)).all(2)


def test_a_box_lies_where_it_was_detected_and_the_original_stays():
    picture = Image.new("RGB", (600, 300), "white")
    drawn = draw_boxes(picture, detections((0.25, 0.5, 0.75, 1, 0.9, 0)), ["cell"])
    rows, columns = np.nonzero(coloured(drawn, 0)[150:])  # below its label
    assert (columns.min(), columns.max()) == (round(0.25 * 599), round(0.75 * 599))
    assert rows.max() == 149
    assert not coloured(drawn, 0)[225, 300]  # it is not filled
    assert np.asarray(picture).min() == 255


def test_what_scores_less_is_not_drawn():
    picture = Image.new("RGB", (300, 300), "white")
    found = detections((0.1, 0.1, 0.9, 0.9, 0.5, 0), (0.2, 0.2, 0.6, 0.6, 0.2, 1))
    drawn = draw_boxes(picture, found, ["a", "b"])
    assert coloured(drawn, 0).any()
    assert not coloured(drawn, 1).any()
    assert coloured(draw_boxes(picture, found, ["a", "b"], least_score=0.1), 1).any()
    assert np.array_equal(np.asarray(draw_boxes(picture, detections(), [])), np.asarray(picture))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (28, 28), (640, 480), (3000, 20)])
def test_every_kind_and_size_of_picture_is_drawn_in_colour(mode, size):
    found = detections((0, 0, 1, 1, 0.9, 0), (0.4, 0.4, 0.41, 0.41, 0.8, 1), (0.9, 0.9, 1, 1, 0.7, 2))
    drawn = draw_boxes(Image.new(mode, size), found, ["one", "two", "a long name of a class"])
    assert drawn.mode == "RGB"
    assert coloured(drawn, 0).any()


def test_a_small_picture_is_enlarged_by_a_whole_factor_and_not_without_end():
    picture = Image.effect_noise((28, 20), 99)
    drawn = draw_boxes(picture, detections(), [])
    assert drawn.size == (12 * 28, 12 * 20)
    assert np.array_equal(np.asarray(drawn)[::12, ::12, 0], np.asarray(picture))
    assert draw_boxes(Image.new("L", (640, 480)), detections(), []).size == (640, 480)
    assert draw_boxes(Image.new("L", (30_000, 2)), detections(), []).size == (30_000, 2)


def test_a_picture_in_sixteen_bits_is_not_white():
    picture = Image.fromarray(np.full((50, 50), 32_768, np.uint16))
    assert np.asarray(draw_boxes(picture, detections(), [])).max() == 128


def test_lines_grow_with_the_picture():
    def line(side: int) -> int:
        drawn = draw_boxes(Image.new("L", (side, side)), detections((0.1, 0.1, 0.9, 0.9, 0.9, 0)), ["cell"])
        return int(coloured(drawn, 0)[side // 2, : side // 2].sum())

    assert line(300) == 2
    assert line(2_000) >= 5


def test_labels_of_boxes_in_the_same_place_do_not_cover_each_other():
    found = detections(*[(0.3, 0.3, 0.7, 0.7, 0.9 - index / 10, index) for index in range(4)])
    alone = [
        coloured(
            draw_boxes(Image.new("RGB", (400, 400)), detections((0.3, 0.3, 0.7, 0.7, 0.9, index)), "abcd"), index
        )
        for index in range(4)
    ]
    drawn = draw_boxes(Image.new("RGB", (400, 400)), found, "abcd")
    line = 2 * 4 * 160  # pixels of a box's lines, which the best box's cover
    for index in range(1, 4):
        assert coloured(drawn, index).sum() > 0.9 * (alone[index].sum() - line)


def test_classes_have_colours_of_their_own():
    assert len({class_colour(index) for index in range(91)}) == 91


def test_a_class_without_a_name_is_refused():
    with pytest.raises(SettingsError, match="class 3 was detected, but there are 1 class names"):
        draw_boxes(Image.new("L", (9, 9)), detections((0, 0, 1, 1, 0.9, 3)), ["cell"])
