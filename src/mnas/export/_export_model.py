"""A trained model as files for devices, each run in its runtime and compared with torch before it is written."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mnas._whole_file import write_whole
from mnas.errors import ExportError, SettingsError, StorageError
from mnas.export._apart import converted_apart
from mnas.export._check import Comparison, Tolerance
from mnas.export._description import Sides, description, sides
from mnas.export._formats import FORMATS, Format, check_formats, converted, outputs, versions
from mnas.export._onnx import OPSET, Array
from mnas.models import TrainedModel

_BATCH = 64  # images that torch is given at once
_CHECKED = 8  # images at least: fewer tell nothing


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

    @property
    def description(self) -> Path:
        """The JSON file beside it: preprocessing, class names, what goes in and comes out."""
        return _description_path(self.path)


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
    if not folder.is_dir():
        raise SettingsError(f"cannot export into {folder}: there is no such folder")
    pixels, labels = _checked(trained, check)
    images = trained.preprocessing.normalize(pixels)
    sample = _calibration(trained, calibration) if int8 else None
    expected = _torch_outputs(trained, images)
    exported = []
    for name in formats:
        for inputs in (None, sample) if int8 else (None,):
            began = time.monotonic()
            path = folder / f"model{'-int8' if inputs else ''}{FORMATS[name].suffix}"
            data, found, tensors = _converted(trained, name, inputs, images.numpy(), dynamic_batch)
            comparison = Comparison.of(found, expected, labels.numpy())
            _accept(comparison, path, inputs is not None, tolerance or Tolerance())
            row = _exported(name, path, data, comparison, len(images), tolerance or Tolerance(), began)
            _write(row, data, trained, tensors)
            exported.append(row)
    return exported


def _converted(
    trained: TrainedModel, name: str, calibration: Sequence[Array] | None, images: Array, dynamic_batch: bool
) -> tuple[bytes, Array, Sides]:
    if name != "onnx":
        return converted_apart(trained, name, calibration, images)
    data = converted(trained, name, calibration, dynamic_batch)
    return data, outputs(name, data, images), sides(name, data)


def _accept(comparison: Comparison, path: Path, is_int8: bool, tolerance: Tolerance) -> None:
    try:
        comparison.check(is_int8, tolerance)
    except ExportError as error:
        for old in (path, _description_path(path)):
            old.unlink(missing_ok=True)  # one from before would be taken for this one
        raise ExportError(f"{path.name} was not written: {error}") from error


def _write(row: Exported, data: bytes, trained: TrainedModel, tensors: Sides) -> None:
    """The file and its description: both, or none where there is no room for the description."""
    facts = {"file": row.path.name, "sha256": row.sha256, "format": row.format, "precision": row.precision,
             "versions": dict(row.versions)}  # fmt: skip
    write_whole(row.path, data)
    try:
        write_whole(row.description, description(trained, facts, tensors))
    except StorageError:
        row.path.unlink()  # beside a description from before it would be taken for what that says
        raise


def _description_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _exported(
    name: Format, path: Path, data: bytes, found: Comparison, images: int, tolerance: Tolerance, began: float
) -> Exported:
    return Exported(
        format=name,
        precision="int8" if path.stem.endswith("-int8") else "fp32",
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        images=images,
        largest_difference=found.largest_difference,
        agreement=found.agreement,
        accuracy=found.accuracy,
        torch_accuracy=found.torch_accuracy,
        tolerance=tolerance,
        seconds=time.monotonic() - began,
        opset=OPSET if name == "onnx" else None,
        versions=versions(name),
    )


def _checked(trained: TrainedModel, check: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    if check is None or len(check[0]) < _CHECKED:
        raise SettingsError(
            f"an export is checked on at least {_CHECKED} images with labels (check); a few hundred do well"
        )
    pixels, labels = check
    expected = (len(pixels), len(trained.class_names)) if trained.is_multilabel else (len(pixels),)
    if tuple(labels.shape) != expected:
        raise SettingsError(
            f"labels of the images to check should have the shape {expected}, got {tuple(labels.shape)}"
        )
    return pixels, labels


def _calibration(trained: TrainedModel, calibration: Tensor | None) -> list[Array]:
    if calibration is None or len(calibration) == 0:
        raise SettingsError("int8 needs images to calibrate on (calibration): about a hundred of the training images")
    images: Array = trained.preprocessing.normalize(calibration).numpy()
    return np.split(images, len(images))


def _torch_outputs(trained: TrainedModel, images: Tensor) -> Array:
    """Logits (n, classes). The module leaves in the mode that it came in."""
    module, was_training = trained.module, trained.module.training
    module.eval()
    device = module.classifier.weight.device
    try:
        with torch.inference_mode():
            logits = torch.cat([module(part.to(device)).cpu() for part in torch.split(images, _BATCH)])
    finally:
        module.train(was_training)
    found: Array = logits.numpy()
    if not np.isfinite(found).all():
        raise ExportError("the model's own outputs are not finite: its training diverged. Train it again")
    return found
