"""SSD's loss: default boxes are matched with objects; then boxes by smooth L1, and classes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mnas._torchvision import import_torchvision
from mnas.models import encode_boxes
from mnas.training._recipe import DetectionLoss

_MATCHED = 0.5  # IoU, from which on a default box stands for an object; the best one for each object does anyway
_NEGATIVES = 3  # that are looked at for each match, and at least that many per image: the worst ones


class BoxLoss:
    """Liu et al. 2016, section 2.2, as in the public SSDLite configuration.

    softmax: cross entropy of background and classes; sigmoid: of each by itself; both of the matches and of three
    times as many others, those with the largest loss. focal: all default boxes, by Lin et al. 2017. All are sums over
    the number of matches. Where an image has crowds, the data set has left them out.
    """

    def __init__(self, default_boxes: Tensor, kind: DetectionLoss) -> None:
        import_torchvision()
        from torchvision.models.detection._utils import SSDMatcher
        from torchvision.ops import box_iou, sigmoid_focal_loss

        self._default_boxes, self._kind = default_boxes, kind
        self._matcher: Any = SSDMatcher(_MATCHED)
        self._iou: Any = box_iou
        self._focal: Any = sigmoid_focal_loss

    def __call__(self, outputs: Tensor, targets: Tensor, teacher: Tensor | None) -> Tensor:
        """Outputs (n, default boxes, 4 + 1 + classes) and boxes (n, most, 5), rows not in use of class -1."""
        assert teacher is None  # Detection.changes refuses it
        encodings, logits = outputs[..., :4], outputs[..., 4:]
        matched = torch.stack([self._matched(rows) for rows in targets])  # (n, default boxes)
        is_object = matched >= 0
        rows = targets.gather(1, matched.clamp(min=0)[..., None].expand(-1, -1, 5))  # (n, default boxes, 5)
        classes = torch.where(is_object, rows[..., 4].to(torch.int64) + 1, 0)  # 0: background
        wanted = encode_boxes(rows[..., :4][is_object], self._default_boxes.expand_as(encodings)[is_object])
        of_boxes = F.smooth_l1_loss(encodings[is_object], wanted, reduction="sum")
        return (of_boxes + self._of_classes(logits, classes, is_object)) / is_object.sum().clamp(min=1)

    def _matched(self, rows: Tensor) -> Tensor:
        """For each default box the row of its object, -1 for background."""
        objects = rows[rows[:, 4] >= 0, :4]
        if not len(objects):
            return torch.full((len(self._default_boxes),), -1, dtype=torch.int64, device=rows.device)
        matched: Tensor = self._matcher(self._iou(objects, self._default_boxes))
        return matched.clamp(min=-1)

    def _of_classes(self, logits: Tensor, classes: Tensor, is_object: Tensor) -> Tensor:
        if self._kind == "softmax":
            loss = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none").view_as(classes)
        else:
            hot = F.one_hot(classes, logits.shape[-1]).to(logits.dtype)
            if self._kind == "focal":  # background is where no class is
                focal: Tensor = self._focal(logits[..., 1:], hot[..., 1:], reduction="sum")
                return focal
            loss = F.binary_cross_entropy_with_logits(logits, hot, reduction="none").sum(-1)
        return loss[is_object | _worst(loss, is_object)].sum()


def _worst(loss: Tensor, is_object: Tensor) -> Tensor:
    """Which of the others of each image are looked at."""
    counts = (_NEGATIVES * is_object.sum(1, keepdim=True)).clamp(min=_NEGATIVES)
    ranks = loss.detach().masked_fill(is_object, -1.0).argsort(1, descending=True).argsort(1)
    return (ranks < counts) & ~is_object
