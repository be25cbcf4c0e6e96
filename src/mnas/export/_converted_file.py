"""A model's bytes in a format, run before they are written; what classifiers and detectors share of an export."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mnas._whole_file import write_whole
from mnas.errors import ExportError, SettingsError, StorageError
from mnas.export._apart import converted_apart
from mnas.export._description import Sides, description, description_path, sides
from mnas.export._format_facts import FORMATS, Format, versions
from mnas.export._formats import Outputs, converted, outputs
from mnas.export._onnx import OPSET, Array
from mnas.models import TrainedModel

CHECKED = 8  # images at least: fewer tell nothing
_BATCH = 16  # images that torch is given at once


@dataclass(frozen=True)
class ConvertedFile:
    """What may be written to a path, once its outputs are found to be right."""

    format: Format
    path: Path
    data: bytes
    outputs: list[Outputs]  # that it gives on each image
    sides: Sides
    began: float

    @classmethod
    def of(
        cls,
        trained: TrainedModel,
        name: Format,
        path: Path,
        images: Array,
        calibration: Sequence[Array] | None = None,
        *,
        dynamic_batch: bool = False,
        nms_above: float | None = None,
    ) -> ConvertedFile:
        """The model, converted and run on normalized images; in int8 by what it does on the calibration's.

        Raises:
            ExportError: it cannot be converted or run.
        """
        began = time.monotonic()
        if name != "onnx":
            return cls(name, path, *converted_apart(trained, name, calibration, images), began)
        data = converted(trained, name, calibration, dynamic_batch=dynamic_batch, nms_above=nms_above)
        return cls(name, path, data, outputs(name, data, images), sides(name, data), began)

    @property
    def precision(self) -> Literal["fp32", "int8"]:
        """By the path."""
        return "int8" if self.path.stem.endswith("-int8") else "fp32"

    def output(self, place: int = 0) -> Array:
        """Of all images (n, ...), where it has the same shape for each."""
        return np.concatenate([found[place] for found in self.outputs]).astype(np.float32)

    @property
    def record(self) -> dict[str, Any]:
        """What is known of the file itself, by the names that `Exported` and `ExportedDetector` have for it."""
        return {
            "format": self.format,
            "precision": self.precision,
            "path": self.path,
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "bytes": len(self.data),
            "images": len(self.outputs),
            "seconds": time.monotonic() - self.began,
            "opset": OPSET if self.format == "onnx" else None,
            "versions": versions(self.format),
        }

    @contextmanager
    def accepted(self) -> Iterator[None]:
        """For the check of its outputs: where that fails, what is at the path from before goes too.

        Raises:
            ExportError: what the check raises, with the file's name.
        """
        try:
            yield
        except ExportError as error:
            for old in (self.path, description_path(self.path)):
                old.unlink(missing_ok=True)  # it would be taken for this one
            raise ExportError(f"{self.path.name} was not written: {error}") from error

    def write(self, trained: TrainedModel, **facts: Any) -> None:
        """The file and its description, with these facts: both, or none where there is no room for the description.

        Raises:
            StorageError: as where the disk is full.
        """
        known = self.record
        own = {"file": self.path.name} | {key: known[key] for key in ("sha256", "format", "precision", "versions")}
        write_whole(self.path, self.data)
        try:
            write_whole(description_path(self.path), description(trained, own | facts, self.sides))
        except StorageError:
            self.path.unlink()  # beside a description from before it would be taken for what that says
            raise


def path_in(folder: Path, name: str, suffix: str = "") -> Path:
    """Where a model's file in a format goes: model.onnx, model-int8.onnx, ...

    Raises:
        SettingsError: there is no such folder.
    """
    if not folder.is_dir():
        raise SettingsError(f"cannot export into {folder}: there is no such folder")
    return folder / f"model{suffix}{FORMATS[name].suffix}"


def calibration_inputs(trained: TrainedModel, calibration: Tensor | None) -> list[Array]:
    """Inputs (1, channels, resolution, resolution) of uint8 images to calibrate on.

    Raises:
        SettingsError: there are none.
    """
    if calibration is None or len(calibration) == 0:
        raise SettingsError("int8 needs images to calibrate on (calibration): about a hundred of the training images")
    images: Array = trained.preprocessing.normalize(calibration).numpy()
    return np.split(images, len(images))


def torch_outputs(trained: TrainedModel, images: Tensor) -> Tensor:
    """What the module itself gives (n, ...) on normalized images. It leaves in the mode that it came in.

    Raises:
        ExportError: an output is not finite.
    """
    module, was_training = trained.module, trained.module.training
    module.eval()
    device = next(module.parameters()).device
    try:
        with torch.inference_mode():
            found = torch.cat([module(part.to(device)).cpu() for part in torch.split(images, _BATCH)])
    finally:
        module.train(was_training)
    if not bool(torch.isfinite(found).all()):
        raise ExportError("the model's own outputs are not finite: its training diverged. Train it again")
    return found
