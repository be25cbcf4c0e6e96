"""Detections: what a detector says of an image, from its outputs.

Encodings are offsets of the centre and logarithms of the size relative to a default box, times 10 and 5 (Liu et al.
2016). Score, IoU and number of detections are those of the public SSDLite configuration,
ssdlite_mobilenet_v2_coco.config; the limit of 400 candidates of a class is torchvision's.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from mnas._torchvision import import_torchvision
from mnas.detection_scores import Detections
from mnas.errors import SettingsError, TrainingError, did_you_mean

Activation = Literal["softmax", "sigmoid"]

WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the encodings: x, y, width, height
LEAST_SCORE = 1e-8  # for evaluation
MOST_OVERLAP = 0.6
MOST_PER_CLASS, MOST = 400, 100
_FIRST, _MORE = 4, 4  # candidates looked at first, times the detections asked for; and how many times as many next


def detections_of(
    outputs: Tensor,
    default_boxes: Tensor,
    *,
    activation: Activation = "softmax",
    score: float = LEAST_SCORE,
    iou: float = MOST_OVERLAP,
    most: int = MOST,
) -> list[Detections]:
    """What a detector's outputs say of each image of a batch.

        detections_of(detector(images), default_boxes(architecture), score=0.3)[0].boxes

    Boxes are clipped to the image, and those of which nothing is left are no detections.

    Args:
        outputs: (batch, boxes, 4 + 1 + classes): encodings, then the logits of the background and of the classes.
        default_boxes: (boxes, 4): x1, y1, x2, y2 as fractions of the image.
        activation: "softmax" over background and classes; "sigmoid" for each class by itself, the background
            ignored. As the detector was trained.
        score: detections score more than this. 1e-8 is for evaluation; what is drawn or counted wants .3 or so.
        iou: of two boxes of a class that overlap by more, the lower-scoring one is suppressed.
        most: detections per image.

    Raises:
        SettingsError: shapes or settings are impossible.
        TrainingError: an output is not finite.
    """
    _check(outputs, default_boxes, activation, score, iou, most)
    outputs = outputs.detach().float()
    if not outputs.isfinite().all():
        raise TrainingError("the detector's outputs are not finite: its training diverged")
    boxes, scores = boxes_and_scores(outputs, default_boxes, activation)
    return [_of_image(*image, score, iou, most) for image in zip(boxes, scores, strict=True)]


def boxes_and_scores(outputs: Tensor, default_boxes: Tensor, activation: Activation) -> tuple[Tensor, Tensor]:
    """Boxes (batch, boxes, 4), clipped to the image, and scores (batch, boxes, classes) of all default boxes."""
    boxes = decode_boxes(outputs[..., :4], default_boxes).clamp(0, 1)
    return boxes, _scores(outputs[..., 4:], activation)


def decode_boxes(encodings: Tensor, default_boxes: Tensor) -> Tensor:
    """Boxes x1, y1, x2, y2 as fractions of the image, not clipped; the inverse of `encode_boxes`.

    Args:
        encodings: (..., boxes, 4): dx, dy, dw, dh relative to the default box.
        default_boxes: (boxes, 4).

    A width or height is at most 62.5 times the default box's, so that it stays finite.
    """
    anchors = default_boxes.to(encodings).expand_as(encodings)
    decoded = _coder().decode_single(encodings.reshape(-1, 4), anchors.reshape(-1, 4))
    return cast(Tensor, decoded).reshape(encodings.shape)


def encode_boxes(boxes: Tensor, default_boxes: Tensor) -> Tensor:
    """Encodings (..., boxes, 4) of boxes of that shape relative to the default boxes (boxes, 4).

    A box without area has infinite encodings: leave such rows out of a loss.
    """
    anchors = default_boxes.to(boxes).expand_as(boxes)
    encoded = _coder().encode_single(boxes.reshape(-1, 4), anchors.reshape(-1, 4))
    return cast(Tensor, encoded).reshape(boxes.shape)


@cache
def _coder() -> Any:
    import_torchvision()
    from torchvision.models.detection._utils import BoxCoder

    return BoxCoder(WEIGHTS)


def _check(outputs: Tensor, default_boxes: Tensor, activation: str, score: float, iou: float, most: int) -> None:
    if activation not in get_args(Activation):
        raise did_you_mean("activation", activation, get_args(Activation))
    if not 0 <= score < 1 or not 0 < iou <= 1 or most < 1:
        raise SettingsError(
            f"score should be from 0 to below 1, iou above 0 to 1, most at least 1; got {score}, {iou}, {most}"
        )
    boxes = tuple(default_boxes.shape)
    if outputs.ndim != 3 or boxes != (outputs.shape[1], 4) or outputs.shape[2] < 6:
        raise SettingsError(
            "outputs should have the shape (batch, boxes, 4 + 1 + classes) and default boxes (boxes, 4) of as many "
            f"boxes, got {tuple(outputs.shape)} and {boxes}: take the default boxes of the detector's architecture"
        )


def _scores(logits: Tensor, activation: Activation) -> Tensor:
    """(batch, boxes, 1 + classes) -> (batch, boxes, classes)."""
    return logits.softmax(-1)[..., 1:] if activation == "softmax" else logits[..., 1:].sigmoid()


def _of_image(boxes: Tensor, scores: Tensor, least: float, iou: float, most: int) -> Detections:
    """From clipped boxes (boxes, 4) and scores (boxes, classes)."""
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
    scores = scores.where(has_area[:, None], -1)
    candidates, count = int((scores > least).sum()), _FIRST * most
    while True:
        found, rows, classes = _best(scores, min(count, candidates))
        kept = _suppress(boxes[rows], found, classes, iou)[:most]
        # Whether a box is kept depends on better ones alone: with enough of them, worse ones need no look.
        if len(kept) == most or count >= candidates:
            arrays = (part[kept].cpu().numpy() for part in (boxes[rows], found, classes))
            return Detections(*arrays)
        count *= _MORE


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, rows and classes of the best `count`, by falling score, without what is beyond a class's limit."""
    found, places = scores.flatten().topk(count)
    rows, classes = places // scores.shape[1], places % scores.shape[1]
    order = classes.argsort(stable=True)
    ordered = classes[order]
    rank = torch.arange(len(order), device=order.device) - torch.searchsorted(ordered, ordered)
    within = order[rank < MOST_PER_CLASS].sort().values
    return found[within], rows[within], classes[within]


def _suppress(boxes: Tensor, scores: Tensor, classes: Tensor, iou: float) -> Tensor:
    """Indices of boxes that overlap no better one of their class, by falling score."""
    import_torchvision()
    from torchvision.ops import batched_nms

    # In doubles, because classes are told apart by adding to the coordinates, which in single precision changes
    # the IoU of small boxes: by .0003 for sides of .03 in class 89.
    return cast(Tensor, batched_nms(boxes.double(), scores, classes, iou))
