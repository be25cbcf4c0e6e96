"""Detections drawn into a picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mnas.errors import SettingsError

if TYPE_CHECKING:
    from mnas.models import Detections

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

# Okabe and Ito's palette without black, told apart by colour-blind readers; more classes go round the colour circle.
_PALETTE: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
_GOLDEN = 0.618034  # of a turn: neighbours differ, and no hue comes twice
_SHARE_OF_LINE, _SHARE_OF_TEXT = 1 / 200, 1 / 32  # of the shorter side
_LEAST_TEXT = 11  # pixels: smaller cannot be read
_LEAST_SIDE, _MOST_ENLARGED = 240, 2_000  # pixels: the shorter side, and where enlarging ends


def draw_boxes(
    image: Image.Image, detections: Detections, class_names: Sequence[str], least_score: float = 0.3
) -> Image.Image:
    """A copy of a picture, in colour, with the boxes that score enough, each labelled with class and score.

    Lines and text grow with the picture. Better ones are drawn over worse ones, labels over all boxes; a label that
    finds no place beside the better ones' is left out. A picture whose shorter side is below 240 pixels is
    enlarged by a whole factor first, because labels would hide it.

    Raises:
        SettingsError: a detected class has no name.
    """
    drawn = _enlarged(_in_colour(image))
    shown = [row for row in _rows(detections, drawn.size) if row[1] >= least_score][::-1]
    if missing := {index for *_, index in shown if index >= len(class_names)}:
        raise SettingsError(
            f"class {min(missing)} was detected, but there are {len(class_names)} class names: "
            "give the names of the classes that the detector was trained on"
        )
    canvas, shorter = ImageDraw.Draw(drawn), min(drawn.size)
    line = max(1, round(shorter * _SHARE_OF_LINE))
    for box, _, index in shown:
        canvas.rectangle(box, outline=class_colour(index), width=line)
    labels = _Labels(canvas, drawn.size, max(_LEAST_TEXT, round(shorter * _SHARE_OF_TEXT)))
    for box, score, index in shown[::-1]:
        labels.add(box, f"{class_names[index]} {score:.2f}", class_colour(index))
    labels.draw()
    return drawn


def class_colour(index: int) -> Colour:
    """A class's colour: red, green, blue, 0 to 255."""
    if index < len(_PALETTE):
        return _PALETTE[index]
    lightness = (0.45, 0.65)[index % 2]
    red, green, blue = colorsys.hls_to_rgb(index * _GOLDEN % 1, lightness, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def _in_colour(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # grey in 16 bits: the upper eight, since Pillow's conversion makes it white
        image = Image.fromarray((np.asarray(image, np.int64).clip(0, 65_535) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _enlarged(image: Image.Image) -> Image.Image:
    shorter, longer = sorted(image.size)
    factor = max(1, min(-(-_LEAST_SIDE // shorter), _MOST_ENLARGED // longer))
    return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


def _rows(detections: Detections, size: tuple[int, int]) -> list[tuple[Rectangle, float, int]]:
    """Boxes in pixels, their scores and classes."""
    last = np.asarray(size * 2) - 1
    boxes = [tuple(box) for box in (np.asarray(detections.boxes) * last).round().tolist()]
    return list(zip(boxes, detections.scores.tolist(), detections.classes.tolist(), strict=True))


class _Labels:
    """Places labels where they cover no label that was placed before, and draws them."""

    def __init__(self, canvas: ImageDraw.ImageDraw, size: tuple[int, int], text_pixels: int) -> None:
        self.canvas, self.size = canvas, size
        self.font = ImageFont.load_default(text_pixels)
        self.margin = max(1, text_pixels // 6)
        ascent, descent = self._metrics()
        self.height = ascent + descent + 2 * self.margin
        self.placed: list[tuple[Rectangle, str, Colour]] = []

    def add(self, box: Rectangle, text: str, colour: Colour) -> None:
        """Place a label at a box where it fits into the picture and between the labels placed before."""
        width = self.canvas.textlength(text, font=self.font) + 2 * self.margin
        if width > self.size[0] or self.height > self.size[1]:
            return
        for place in self._places(box, width):
            if not any(_overlap(place, other) for other, *_ in self.placed):
                self.placed.append((place, text, colour))
                return

    def draw(self) -> None:
        """Draw what was placed."""
        for place, text, colour in self.placed:
            self.canvas.rectangle(place, fill=colour)
            corner = place[0] + self.margin, place[1] + self.margin
            self.canvas.text(corner, text, fill=_readable_on(colour), font=self.font)

    def _places(self, box: Rectangle, width: float) -> list[Rectangle]:
        """Above the box, below it, in its upper and its lower corner; pushed into the picture."""
        x1, y1, x2, y2 = box
        lefts = (x1, x2 - width)
        tops = (y1 - self.height, y2, y1, y2 - self.height)
        return [self._inside(left, top, width) for top in tops for left in lefts]

    def _inside(self, left: float, top: float, width: float) -> Rectangle:
        left = min(max(left, 0), self.size[0] - width)
        top = min(max(top, 0), self.size[1] - self.height)
        return left, top, left + width, top + self.height

    def _metrics(self) -> tuple[int, int]:
        font = self.font
        if isinstance(font, ImageFont.FreeTypeFont):
            return font.getmetrics()
        return round(font.getbbox("Ag")[3]), 0  # Pillow without FreeType has one font of one size


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _readable_on(colour: Colour) -> Colour:
    """Black or white, whichever has more contrast (luma by ITU-R BT.601)."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 100 else (255, 255, 255)
