"""DecodedDetector: a detector that gives boxes and scores, as exported files do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mnas.models import BuiltModel, Detector, default_boxes
from mnas.models._detections import WEIGHTS
from mnas.space import Architecture

# What `decode_boxes` does, as few operations on constants: mobile runtimes have a kernel for each of them.
_PLACE_WEIGHT, SIZE_WEIGHT = WEIGHTS[0], WEIGHTS[2]
MOST_GROWTH = math.log(1000 / 16)  # of a side, as its logarithm: torchvision's bound


@dataclass(frozen=True, eq=False)
class Decoding:
    """The default boxes as what encodings (dx, dy, dw, dh) are applied to; each (boxes, 2), in x and y.

    middle = (dx, dy) * step + middle; half side = exp(min((dw, dh) / SIZE_WEIGHT, MOST_GROWTH)) * half side.
    """

    middles: Tensor
    steps: Tensor
    halves: Tensor

    @classmethod
    def of(cls, architecture: Architecture) -> Decoding:
        """A detector's."""
        boxes = default_boxes(architecture).double()
        low, high = boxes[:, :2], boxes[:, 2:]
        sides = high - low
        return cls(*(part.float() for part in ((low + high) / 2, sides / _PLACE_WEIGHT, sides / 2)))


class DecodedDetector(nn.Module):
    """Wraps a detector: normalized images -> "boxes" and "scores"; what is left to do is non-maximum suppression.

    Boxes (batch, default boxes, 4) are x1, y1, x2, y2 as fractions of the image, clipped to it. Scores (batch,
    default boxes, classes) are by a softmax over background and classes or, `is_multilabel`, a sigmoid of each.
    """

    middles: Tensor
    steps: Tensor
    halves: Tensor

    def __init__(self, detector: Detector, is_multilabel: bool) -> None:
        super().__init__()
        self.architecture = detector.architecture
        self.detector = detector
        self.is_multilabel = is_multilabel
        for name, value in vars(Decoding.of(detector.architecture)).items():
            self.register_buffer(name, value, persistent=False)
        self.train(detector.training)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Boxes and scores, by name: LiteRT files keep the names."""
        encodings, logits = self.detector.predictions(images)
        middles = encodings[:, :, :2] * self.steps + self.middles
        halves = torch.exp(torch.clamp(encodings[:, :, 2:] / SIZE_WEIGHT, max=MOST_GROWTH)) * self.halves
        boxes = torch.cat([middles - halves, middles + halves], 2).clamp(0, 1)
        scores = logits[:, :, 1:].sigmoid() if self.is_multilabel else logits.softmax(2)[:, :, 1:]
        return {"boxes": boxes, "scores": scores}


Convertible = BuiltModel | DecodedDetector  # through torch's export
