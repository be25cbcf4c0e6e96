"""Annotated: pictures and their boxes as arrays, which hold a million boxes without a million objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.datasets._faults import Fault
from mnas.datasets._listing import Group, Indices
from mnas.datasets._source import FileSource


@dataclass(frozen=True)
class Boxes:
    """The boxes of all images, those of one image after those of another."""

    starts: Indices  # (images + 1,): where each image's begin, and where the last image's end
    ids: Indices
    classes: Indices  # indices of class names
    pixels: NDArray[np.float64]  # (boxes, 4): x, y, width, height, as the annotations have them
    areas: NDArray[np.float64]
    is_ignored: NDArray[np.bool_]  # crowds and difficult ones: not trained on, and not held against a detector

    def of(self, image: int) -> slice:
        """The rows of one image's boxes."""
        return slice(int(self.starts[image]), int(self.starts[image + 1]))


@dataclass(frozen=True)
class Annotated:
    """All images of a data set with their boxes, and what had to be left out."""

    categories: Mapping[str, int]  # name -> id, in the order of the class indices
    ids: Indices  # of the images
    names: tuple[str, ...]  # of their files, as the annotations have them
    source: FileSource
    sizes: Indices  # (images, 2): width, height
    groups: Mapping[Group, Indices]
    boxes: Boxes
    faults: tuple[Fault, ...]

    def truth(self, chosen: Indices) -> dict[str, Any]:
        """Some of the images as COCO ground truth."""
        category_ids = tuple(self.categories.values())
        return {
            "info": {},
            "images": [self._image(image) for image in chosen.tolist()],
            "annotations": [
                self._annotation(image, row, category_ids)
                for image in chosen.tolist()
                for row in range(self.boxes.starts[image], self.boxes.starts[image + 1])
            ],
            "categories": [{"id": number, "name": name} for name, number in self.categories.items()],
        }

    def _image(self, image: int) -> dict[str, Any]:
        width, height = self.sizes[image].tolist()
        return {"id": int(self.ids[image]), "file_name": self.names[image], "width": width, "height": height}

    def _annotation(self, image: int, row: int, category_ids: Sequence[int]) -> dict[str, Any]:
        boxes = self.boxes
        is_ignored = int(boxes.is_ignored[row])
        return {
            "id": int(boxes.ids[row]),
            "image_id": int(self.ids[image]),
            "category_id": category_ids[boxes.classes[row]],
            "bbox": boxes.pixels[row].tolist(),
            "area": float(boxes.areas[row]),
            "iscrowd": is_ignored,
            "ignore": is_ignored,
        }
