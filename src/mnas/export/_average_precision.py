"""AP of detections on the images that an export is checked on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from mnas.detection_scores import Detections, coco_results, detection_scores

_SIDE = 1000  # pixels that an image is taken to have: overlaps do not depend on it


def average_precision(found: Sequence[Detections], boxes: Tensor, class_names: Sequence[str]) -> float | None:
    """COCO's AP of what was found on each image; None where there is nothing to find.

    `boxes` (n, most, 5) is what is there, as data sets give it: x1, y1, x2, y2 as fractions, and the class, which
    is -1 in rows that are not in use. Crowds are not among them.
    """
    truth = {
        "images": [{"id": number, "width": _SIDE, "height": _SIDE} for number in range(len(boxes))],
        "annotations": _annotations(boxes),
        "categories": [{"id": number, "name": name} for number, name in enumerate(class_names)],
    }
    places = list(range(len(boxes)))
    results = coco_results(places, [(_SIDE, _SIDE)] * len(boxes), found, list(range(len(class_names))))
    return detection_scores(truth, results, resamples=0).ap


def _annotations(boxes: Tensor) -> list[dict[str, object]]:
    """COCO's, of the rows in use."""
    rows = boxes.numpy().astype(np.float64)
    corners, sides = _SIDE * rows[..., :2], _SIDE * (rows[..., 2:4] - rows[..., :2])
    used = zip(*np.nonzero(rows[..., 4] >= 0), strict=True)
    return [
        {
            "id": number,
            "image_id": int(image),
            "category_id": int(rows[image, row, 4]),
            "bbox": [*corners[image, row].tolist(), *sides[image, row].tolist()],
            "iscrowd": 0,
        }
        for number, (image, row) in enumerate(used, start=1)
    ]
