"""Post-processing of an exported detector: decoded boxes and scores -> detections. It needs numpy alone.

This file goes beside detectors that are exported with boxes decoded and suppression left to the application, and
is what an implementation in another language should agree with:

    from postprocess import detections

    boxes, scores = session.run(None, {"images": images})          # (batch, boxes, 4), (batch, boxes, classes)
    for box, score, index in zip(*detections(boxes[0], scores[0], score=0.3)):
        x1, y1, x2, y2 = box * (width, height, width, height)      # pixels of the original image

Steps: clip boxes to the image and leave out those without area; of each class take the boxes that score more than
`score`, at most the best `most_per_class`; go through all of them from the best score down, keep a box unless one of
its class that was kept overlaps it by more than `iou` (intersection over union); stop after `most`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def detections(
    boxes: Floats,
    scores: Floats,
    *,
    score: float = 1e-8,
    iou: float = 0.6,
    most: int = 100,
    most_per_class: int = 400,
) -> tuple[Floats, Floats, Indices]:
    """The detections in one image, by falling score: boxes (n, 4), scores (n,), class indices (n,).

    Args:
        boxes: (boxes, 4): x1, y1, x2, y2 as fractions of the image.
        scores: (boxes, classes), 0 to 1, without the background.
        score: detections score more than this; 1e-8 is for evaluation, .3 or so for what is shown.
        iou: of two boxes of a class that overlap by more, the lower-scoring one is left out.
        most: detections in the image.
        most_per_class: candidates of a class.

    Raises:
        ValueError: other shapes.
    """
    if boxes.shape != (len(scores), 4) or scores.ndim != 2:
        raise ValueError(
            f"boxes should have the shape (boxes, 4) and scores (boxes, classes), of one image; "
            f"got {boxes.shape} and {scores.shape}"
        )
    boxes = boxes.clip(0, 1)
    has_area = (boxes[:, 2:] - boxes[:, :2]).min(1) > 0
    can_be = has_area & (scores.max(1) > score)  # few, unless the score is next to nothing
    boxes, scores = boxes[can_be], scores[can_be]
    rows, classes = _candidates(scores, score, most_per_class)
    found = scores[rows, classes]
    kept = _suppress(boxes[rows], classes, iou, most)
    return boxes[rows[kept]], found[kept], classes[kept]


def _candidates(scores: Floats, least: float, most_per_class: int) -> tuple[Indices, Indices]:
    """Rows and classes of what scores enough, by falling score."""
    best = np.argsort(-scores, axis=0, kind="stable")[:most_per_class]  # (candidates, classes) rows
    classes = np.broadcast_to(np.arange(scores.shape[1]), best.shape)
    rows, classes = best.ravel(), classes.ravel()
    found = scores[rows, classes]
    order = np.argsort(-found, kind="stable")
    order = order[found[order] > least]
    return rows[order], classes[order]


def _suppress(boxes: Floats, classes: Indices, iou: float, most: int) -> Indices:
    """Indices of the boxes to keep, of boxes by falling score."""
    wide = boxes.astype(np.float64)
    left = np.arange(len(boxes))
    kept: list[np.int64] = []
    while len(left) and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(best)
        overlaps = _iou(wide[best], wide[left]) > iou
        left = left[~(overlaps & (classes[left] == classes[best]))]
    return np.asarray(kept, np.int64)


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    overlap = np.clip(sides, 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return np.asarray(overlap / (areas - overlap))
