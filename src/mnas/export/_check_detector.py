"""What an exported detector's outputs must be: torch's, and the same detections of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mnas.errors import ExportError, SettingsError
from mnas.export._onnx import Array
from mnas.models import Detections

SAME_OVERLAP, SAME_SCORE = 0.9, 1e-3  # from which on two boxes of a class are the same detection
Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DetectorTolerance:
    """How far an exported detector may be from torch before its export fails.

    Raises:
        SettingsError: a number is not from 0 to 1.
    """

    # In fp32 torch itself is off from double precision by up to 2e-4 where weights are hardly trained.
    boxes_difference: float = 1e-3  # of a side of any box, as a fraction of the image: .3 pixels of 320
    scores_difference: float = 1e-3  # of any score
    agreement: float = 0.99  # share of the detections that are torch's, at least
    int8_ap_loss: float = 0.02  # AP in torch less AP of the file, at most; the others are fp32's

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise SettingsError(f"tolerance {name} should be from 0 to 1, got {value}")


@dataclass(frozen=True)
class DetectorComparison:
    """A file's outputs beside torch's on the same images."""

    boxes_difference: float  # the largest, as a fraction of the image
    scores_difference: float  # the largest
    agreement: float  # share of the detections, the file's and torch's, that the other has too
    detections: int  # torch's, of all images
    ap: float | None = None  # of the file's; None where it is not known what there is to find
    torch_ap: float | None = None

    @classmethod
    def of(
        cls,
        outputs: tuple[Array, Array],
        expected: tuple[Array, Array],
        found: Sequence[Detections],
        ours: Sequence[Detections],
    ) -> DetectorComparison:
        """From boxes (n, boxes, 4) and scores (n, boxes, classes), with detections; the file's, then torch's."""
        boxes, scores = (_largest(file - torch) for file, torch in zip(outputs, expected, strict=True))
        pairs = [same_detections(*both) for both in zip(found, ours, strict=True)]
        return cls(boxes, scores, *_agreement(pairs, found, ours))

    @classmethod
    def of_detections(cls, found: Sequence[Detections], ours: Sequence[Detections]) -> DetectorComparison:
        """From detections alone; differences are those of the ones that both have."""
        pairs = [same_detections(*both) for both in zip(found, ours, strict=True)]
        differences = [
            (_largest(file.boxes[rows[:, 0]] - torch.boxes[rows[:, 1]]),
             _largest(file.scores[rows[:, 0]] - torch.scores[rows[:, 1]]))
            for rows, file, torch in zip(pairs, found, ours, strict=True)
        ]  # fmt: skip
        boxes, scores = (max(values) for values in zip(*differences, strict=True))
        return cls(boxes, scores, *_agreement(pairs, found, ours))

    def check(self, is_int8: bool, tolerance: DetectorTolerance) -> None:
        """Refuse what is beyond the tolerance: in int8 a lost AP, whatever else differs.

        Raises:
            ExportError: saying by how much.
        """
        if is_int8:
            return self._check_ap(tolerance)
        for what, value, most in (
            ("boxes", self.boxes_difference, tolerance.boxes_difference),
            ("scores", self.scores_difference, tolerance.scores_difference),
        ):
            if not value <= most:  # a NaN is above every tolerance
                raise ExportError(
                    f"its {what} differ from torch's by {value:.1e}, where at most {most:.0e} is allowed. {_ADVICE}"
                )
        if not self.agreement >= tolerance.agreement:
            raise ExportError(
                f"{self.agreement:.1%} of the detections are the same as torch's, where at least "
                f"{tolerance.agreement:.1%} should be. {_ADVICE}"
            )
        return None

    def _check_ap(self, tolerance: DetectorTolerance) -> None:
        assert self.ap is not None
        assert self.torch_ap is not None
        if not self.torch_ap - self.ap <= tolerance.int8_ap_loss:
            raise ExportError(
                f"its AP is {self.ap:.1%} and torch's {self.torch_ap:.1%} on the same images: "
                f"{self.torch_ap - self.ap:.1%} lost, where at most {tolerance.int8_ap_loss:.1%} is allowed. "
                "Calibrate on more images, of the kind that it will see, export in fp32, or allow more "
                "(mnas.export.DetectorTolerance)"
            )


_ADVICE = "Export to another format, or allow more (mnas.export.DetectorTolerance)"


def same_detections(found: Detections, ours: Detections) -> Pairs:
    """Pairs of rows (pairs, 2) that are one detection: equal class, score within 1e-3, IoU above .9. No row twice."""
    overlaps = _overlaps(found.boxes, ours.boxes)
    overlaps[found.classes[:, None] != ours.classes] = 0
    overlaps[np.abs(found.scores[:, None] - ours.scores) > SAME_SCORE] = 0
    pairs = []
    for row in range(len(found)):  # by falling score
        best = int(overlaps[row].argmax()) if len(ours) else 0
        if len(ours) and overlaps[row, best] > SAME_OVERLAP:
            pairs.append((row, best))
            overlaps[:, best] = 0
    return np.array(pairs, np.int64).reshape(-1, 2)


def _agreement(pairs: Sequence[Pairs], found: Sequence[Detections], ours: Sequence[Detections]) -> tuple[float, int]:
    """Twice the pairs as a share of the detections of both, or 1 where there are none; and how many torch's are."""
    both, torchs = sum(map(len, pairs)), sum(map(len, ours))
    either = torchs + sum(map(len, found))
    return (2 * both / either if either else 1.0), torchs


def _overlaps(first: Array, second: Array) -> Array:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4)."""
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    return np.asarray(shared / (areas[0][:, None] + areas[1] - shared), np.float32)


def _largest(differences: Array) -> float:
    return float(np.abs(differences).max(initial=0))
