"""AnnotationCheck: takes in images and boxes as files have them, and sorts out what cannot be."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnas.datasets._annotated import Annotated, Boxes
from mnas.datasets._faults import Fault, FaultKind
from mnas.datasets._listing import GROUPS, Group, Indices
from mnas.datasets._source import FileSource

_MARGIN = 1.0  # pixels that a box may reach outside its image: converters round
_NAMED = 10  # categories that a message names
_LEAST = 0.01  # pixels that a box is wide and high, at least: less has no area as a fraction of 32 bits
_LARGEST = 2**62  # number that arrays hold

Wrong = tuple[FaultKind, str] | None


@dataclass(frozen=True)
class FoundImage:
    """An image as a file has it: any value may be wrong, or None where it is missing."""

    id: Any
    name: Any
    folder: Path  # that the name is relative to
    width: Any
    height: Any
    split: Any = None


@dataclass(frozen=True)
class FoundBox:
    """A box as a file has it: any value may be wrong, or None where it is missing."""

    id: Any
    image: Any  # its id
    category: Any
    pixels: Any  # x, y, width, height
    area: Any = None  # None: the box's
    is_ignored: bool = False


class AnnotationCheck:
    """Gathers what is right; every fault is kept, and what has it is left out.

    check = AnnotationCheck({"cat": 3}, {3: 0})
    check.add_image("boxes.json", 1, FoundImage(...))       # 1: its number in the file, should its id be wrong
    check.add_box("boxes.json", 1, FoundBox(...))
    check.annotated()
    """

    def __init__(self, categories: Mapping[str, int], classes: Mapping[Any, int]) -> None:
        """`categories`: name -> id, in the order of the class indices; `classes`: what boxes have -> index."""
        self._categories, self._classes = categories, classes
        self._faults: list[Fault] = []
        self._images: list[FoundImage] = []
        self._places: dict[tuple[str, int], int | None] = {}  # of images by file and id; None: left out
        self._boxes: list[FoundBox] = []
        self._box_places: list[int] = []
        self._box_ids: set[tuple[str, int]] = set()

    def fault(
        self, kind: FaultKind, file: str, item: Literal["image", "annotation"], number: int | str, reason: str
    ) -> None:
        """One more; what has it is the caller's to leave out."""
        self._faults.append(Fault(kind, file, item, number, reason))

    def add_image(self, file: str, number: int, found: FoundImage) -> None:
        """An image of that file, unless it has a fault."""
        known = _whole(found.id)
        wrong = _wrong_id("image", found.id) if known is None else self._wrong_image(file, known, found)
        if known is not None:
            self._places.setdefault((file, known), None if wrong else len(self._images))
        if wrong:
            self.fault(wrong[0], file, "image", f"number {number}" if known is None else known, wrong[1])
        else:
            self._images.append(found)

    def add_box(self, file: str, number: int, found: FoundBox) -> None:
        """A box of that file, unless it has a fault or its image was left out."""
        known = _whole(found.id)
        wrong = _wrong_id("annotation", found.id) if known is None else self._wrong_box(file, known, found)
        if known is not None:
            self._box_ids.add((file, known))
        if wrong:
            self.fault(wrong[0], file, "annotation", f"number {number}" if known is None else known, wrong[1])
        elif (place := self._places[file, int(found.image)]) is not None:
            self._boxes.append(found)
            self._box_places.append(place)

    def annotated(self) -> Annotated:
        """All that is right, and the faults of the rest."""
        images = self._images
        groups = [GROUPS[found.split] if found.split is not None else "all" for found in images]
        return Annotated(
            self._categories,
            np.asarray([int(found.id) for found in images], dtype=np.int64),
            tuple(found.name for found in images),
            FileSource([found.folder / found.name for found in images]),
            np.asarray([(int(found.width), int(found.height)) for found in images], dtype=np.int64).reshape(-1, 2),
            _indices(groups),
            self._sorted_boxes(),
            tuple(self._faults),
        )

    def _sorted_boxes(self) -> Boxes:
        places = np.asarray(self._box_places, dtype=np.int64)
        order = np.argsort(places, kind="stable")
        boxes = [self._boxes[index] for index in order.tolist()]
        ids = np.asarray([int(found.id) for found in boxes], dtype=np.int64)
        # The evaluation's libraries take an annotation of id 0 for none, and so its detection for a mistake.
        ids[ids == 0] = ids.max(initial=0) + 1
        pixels = np.asarray([found.pixels for found in boxes], dtype=np.float64).reshape(-1, 4)
        areas = np.asarray([np.nan if found.area is None else found.area for found in boxes], dtype=np.float64)
        return Boxes(
            np.searchsorted(places[order], np.arange(len(self._images) + 1)),
            ids,
            np.asarray([self._classes[found.category] for found in boxes], dtype=np.int64),
            pixels,
            np.where(np.isnan(areas), pixels[:, 2] * pixels[:, 3], areas),
            np.asarray([found.is_ignored for found in boxes], dtype=bool),
        )

    def _wrong_image(self, file: str, known: int, found: FoundImage) -> Wrong:
        if (file, known) in self._places:
            return "duplicate image id", f"a second image, {found.name}, has its id"
        if not all((size := _whole(value)) is not None and size > 0 for value in (found.width, found.height)):
            came = f"got {found.width!r} x {found.height!r}"
            return "wrong image size", f"its width and height should be whole numbers above zero, {came}"
        if found.split is not None and not (isinstance(found.split, str) and found.split in GROUPS):
            return "unknown split", f"its split should be one of {', '.join(GROUPS)}, got {found.split!r}"
        if not isinstance(found.name, str) or not found.name:
            return "missing picture", f"its file name should be a text, got {found.name!r}"
        if not os.path.isfile(found.folder / found.name):
            return "missing picture", f"there is no picture {found.folder / found.name}"
        return None

    def _wrong_box(self, file: str, known: int, found: FoundBox) -> Wrong:
        if (file, known) in self._box_ids:
            return "duplicate annotation id", "a second annotation has its id"
        image = _whole(found.image)
        if image is None or (file, image) not in self._places:
            return "unknown image", f"its image should be the id of one of the images, got {found.image!r}"
        if not isinstance(found.category, Hashable) or found.category not in self._classes:
            names = ", ".join(map(str, list(self._classes)[:_NAMED]))
            more = ", ..." if len(self._classes) > _NAMED else ""
            return "unknown category", f"its category should be one of {names}{more}, got {found.category!r}"
        values = found.pixels
        if not (isinstance(values, (list, tuple)) and len(values) == 4 and all(map(_is_finite, values))):
            return "wrong box", f"its box should be four finite numbers (x, y, width, height), got {values!r}"
        if found.area is not None and not (_is_finite(found.area) and found.area >= 0):
            return "wrong area", f"its area should be a finite number, not negative, got {found.area!r}"
        place = self._places[file, image]
        return None if place is None else _misplaced(values, self._images[place])


def _wrong_id(item: str, came: Any) -> Wrong:
    return "wrong id", f"an {item}'s id should be a whole number, got {came!r}"


def _misplaced(values: Sequence[float], image: FoundImage) -> Wrong:
    x, y, wide, high = values
    if min(wide, high) < _LEAST:
        return "no area", f"{_box_text(values)} should be at least {_LEAST} pixels wide and high"
    reach = max(-x, -y, x + wide - image.width, y + high - image.height)
    inside = min(x + wide, image.width) - max(x, 0), min(y + high, image.height) - max(y, 0)
    if reach > _MARGIN or min(inside) < _LEAST:
        size = f"{image.width:g} x {image.height:g} pixels"
        return "box outside", f"{_box_text(values)} reaches {reach:g} pixels out of {image.name}, which has {size}"
    return None


def _box_text(values: Sequence[float]) -> str:
    return f"its box {', '.join(f'{value:g}' for value in values)} (x, y, width, height)"


def _indices(groups: Sequence[Group]) -> dict[Group, Indices]:
    array = np.asarray(groups, dtype=np.str_)
    return {group: np.flatnonzero(array == group) for group in dict.fromkeys(groups)}


def _whole(value: Any) -> int | None:
    """The whole number that a value is; 7.0 is one, as tables write them."""
    return int(value) if _is_finite(value) and value == int(value) else None


def _is_finite(value: Any) -> bool:
    """Also neither nan, which is above and below nothing, nor too large for arrays."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST
