"""What an exported file's outputs must be: torch's, as far as the precision allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mnas.errors import ExportError, SettingsError
from mnas.export._onnx import Array


@dataclass(frozen=True)
class Tolerance:
    """How far an exported file may be from torch before its export fails.

    In int8 the loss of accuracy may be above its bound by two standard errors, of the differences on the images
    checked: few images tell little.

    Raises:
        SettingsError: a number is not from 0 to 1.
    """

    fp32_difference: float = 1e-4  # the largest difference of an output, as a share of the largest output
    int8_agreement: float = 0.8  # share of predicted classes that are torch's, at least
    int8_accuracy_loss: float = 0.02  # accuracy in torch less accuracy of the file, at most

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise SettingsError(f"tolerance {name} should be from 0 to 1, got {value}")


@dataclass(frozen=True)
class Comparison:
    """A file's outputs beside torch's on the same images."""

    largest_difference: float  # of an output, as a share of torch's largest output
    agreement: float  # share of equal predicted classes; with several labels per image, of equal yes and no
    accuracy: float  # of the file; with several labels per image, share of right yes and no
    torch_accuracy: float
    loss_error: float  # standard error of torch_accuracy - accuracy

    @classmethod
    def of(cls, found: Array, expected: Array, labels: npt.NDArray[np.integer]) -> Comparison:
        """From logits (n, classes), and labels: classes (n,), or yes and no (n, classes)."""
        scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
        if labels.ndim == 1:
            ours, theirs = found.argmax(1), expected.argmax(1)
        else:
            ours, theirs = (found >= 0).astype(np.int64), (expected >= 0).astype(np.int64)
        right, torch_right = (ours == labels), (theirs == labels)
        lost = (torch_right.astype(float) - right).reshape(len(found), -1).mean(1)  # per image
        return cls(
            largest_difference=float(np.abs(found - expected).max()) / scale,
            agreement=float((ours == theirs).mean()),
            accuracy=float(right.mean()),
            torch_accuracy=float(torch_right.mean()),
            loss_error=float(lost.std() / math.sqrt(len(lost))),
        )

    def check(self, is_int8: bool, tolerance: Tolerance) -> None:
        """Refuse what is beyond the tolerance.

        Raises:
            ExportError: saying by how much.
        """
        if not is_int8:
            if not self.largest_difference <= tolerance.fp32_difference:  # a NaN is above every tolerance
                raise ExportError(
                    f"its outputs differ from torch's by {self.largest_difference:.1e} of the largest output, where "
                    f"at most {tolerance.fp32_difference:.0e} is allowed. Export to another format, or report it"
                )
            return
        if not self.agreement >= tolerance.int8_agreement:
            raise ExportError(
                f"{self.agreement:.1%} of its predicted classes are torch's, where at least "
                f"{tolerance.int8_agreement:.1%} should be. {_ADVICE}"
            )
        loss, slack = self.torch_accuracy - self.accuracy, 2 * self.loss_error
        if not loss <= tolerance.int8_accuracy_loss + slack:
            raise ExportError(
                f"its accuracy is {self.accuracy:.1%} and torch's {self.torch_accuracy:.1%} on the same images: "
                f"{loss:.1%} lost, where at most {tolerance.int8_accuracy_loss:.1%} is allowed, and {slack:.1%} for "
                f"chance. {_ADVICE}"
            )


_ADVICE = (
    "Calibrate on more images, of the kind that it will see, export in fp32, or allow more (mnas.export.Tolerance)"
)
