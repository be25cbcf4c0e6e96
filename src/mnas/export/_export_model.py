"""A trained model as files for devices, each run in its runtime and compared with torch before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from mnas.errors import SettingsError
from mnas.export._check import Comparison, Tolerance
from mnas.export._converted_file import CHECKED, ConvertedFile, calibration_inputs, path_in, torch_outputs
from mnas.export._description import description_path
from mnas.export._format_facts import Format, check_formats
from mnas.models import TrainedModel
from mnas.objective import Latency


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how its outputs were beside torch's."""

    format: Format
    precision: Literal["fp32", "int8"]
    path: Path
    sha256: str
    bytes: int
    images: int  # that it was checked on
    largest_difference: float  # of an output, as a share of torch's largest output
    agreement: float  # share of predicted classes that are torch's
    accuracy: float  # of the file on those images
    torch_accuracy: float  # on the same ones
    tolerance: Tolerance  # that it was held to
    seconds: float  # that converting, running and writing took
    opset: int | None  # of ONNX
    versions: Mapping[str, str]  # of the libraries that made and ran it
    latency: Latency | None = None  # of this very file, where it was measured
    unmeasured: str = ""  # why it could not be

    @property
    def description(self) -> Path:
        """The JSON file beside it: preprocessing, class names, what goes in and comes out."""
        return description_path(self.path)


def export_model(
    trained: TrainedModel,
    folder: Path,
    formats: Sequence[Format],
    int8: bool = False,
    calibration: Tensor | None = None,
    check: tuple[Tensor, Tensor] | None = None,
    *,
    tolerance: Tolerance | None = None,
    dynamic_batch: bool = False,
) -> list[Exported]:
    """Write model.onnx, model.tflite and model.pte, as asked for; with `int8`, model-int8.* beside each.

    Beside each file lies one with .json after its name, which says what a user has to know (`Exported.description`).

    `check` is images, uint8 pixels (n, channels, resolution, resolution), with their labels: int64 classes (n,) or
    uint8 (n, classes). Each file is run on them and written only if it agrees with torch within the tolerance;
    otherwise it is not there afterwards, and those before it are. `calibration` is uint8 pixels too, on which int8
    looks at the network's tensors: about a hundred of the training images. The first exception ends it.

    Inputs of the files are normalized images of batch 1 (ONNX: any batch, with `dynamic_batch`). What
    `Preprocessing` says is left to who runs them.

    Raises:
        SettingsError: an unknown format, a missing extra or folder, images that do not fit.
        ExportError: a converter failed, or a file's outputs are not torch's. That file is not there.
        StorageError: a file could not be written, as where the disk is full.
    """
    check_formats(formats)
    if trained.architecture.is_detector:
        raise SettingsError("export_model is for classifiers: a detector is exported with export_detector")
    paths = {(name, is_int8): path_in(folder, name, "-int8" if is_int8 else "")
             for name in formats for is_int8 in ((False, True) if int8 else (False,))}  # fmt: skip
    pixels, labels = _checked(trained, check)
    images, allowed = trained.preprocessing.normalize(pixels), tolerance or Tolerance()
    sample = calibration_inputs(trained, calibration) if int8 else None
    expected = torch_outputs(trained, images).numpy()
    exported = []
    for (name, is_int8), path in paths.items():
        inputs = sample if is_int8 else None
        file = ConvertedFile.of(trained, name, path, images.numpy(), inputs, dynamic_batch=dynamic_batch)
        found = Comparison.of(file.output(), expected, labels.numpy())
        with file.accepted():
            found.check(is_int8, allowed)
        exported.append(_exported(file, found, allowed))
        file.write(trained)
    return exported


def _exported(file: ConvertedFile, found: Comparison, tolerance: Tolerance) -> Exported:
    return Exported(
        **file.record,
        largest_difference=found.largest_difference,
        agreement=found.agreement,
        accuracy=found.accuracy,
        torch_accuracy=found.torch_accuracy,
        tolerance=tolerance,
    )


def _checked(trained: TrainedModel, check: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    if check is None or len(check[0]) < CHECKED:
        raise SettingsError(
            f"an export is checked on at least {CHECKED} images with labels (check); a few hundred do well"
        )
    pixels, labels = check
    expected = (len(pixels), len(trained.class_names)) if trained.is_multilabel else (len(pixels),)
    if tuple(labels.shape) != expected:
        raise SettingsError(
            f"labels of the images to check should have the shape {expected}, got {tuple(labels.shape)}"
        )
    return pixels, labels
