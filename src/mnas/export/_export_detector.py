"""A trained detector as files for devices, each run in its runtime and compared with torch before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from torch import Tensor

from mnas.errors import SettingsError
from mnas.export._average_precision import average_precision
from mnas.export._check_detector import DetectorComparison, DetectorTolerance
from mnas.export._converted_file import CHECKED, ConvertedFile, calibration_inputs, path_in, torch_outputs
from mnas.export._description import description_path
from mnas.export._format_facts import Format, check_formats
from mnas.export._onnx import Array
from mnas.export._postprocess import detections
from mnas.export._write_postprocess import write_postprocess
from mnas.models import Detections, TrainedModel, default_boxes, detections_of
from mnas.models._detections import LEAST_SCORE, boxes_and_scores
from mnas.objective import Latency


@dataclass(frozen=True)
class ExportedDetector:
    """A detector's file that was written, and how its outputs were beside torch's."""

    format: Format
    precision: Literal["fp32", "int8"]
    path: Path
    sha256: str
    bytes: int
    images: int  # that it was checked on
    nms_above: float | None  # the score that its detections are above; None: suppression is left to postprocess.py
    boxes_difference: float  # the largest, as a fraction of the image's side
    scores_difference: float  # the largest
    agreement: float  # share of the detections that are the same: class, score within 1e-3, IoU above .9
    detections: int  # torch's on those images
    tolerance: DetectorTolerance  # that it was held to
    seconds: float  # that converting, running and writing took
    opset: int | None  # of ONNX
    versions: Mapping[str, str]  # of the libraries that made and ran it
    ap: float | None = None  # of the file on those images; None where their boxes were not given
    torch_ap: float | None = None  # on the same ones
    latency: Latency | None = None  # of this very file, where it was measured
    unmeasured: str = ""  # why it could not be

    @property
    def description(self) -> Path:
        """The JSON file beside it: preprocessing, class names, what goes in and comes out."""
        return description_path(self.path)


def export_detector(
    trained: TrainedModel,
    folder: Path,
    formats: Sequence[Format],
    check: Tensor | None = None,
    *,
    boxes: Tensor | None = None,
    int8: bool = False,
    calibration: Tensor | None = None,
    nms: bool = False,
    least_score: float = LEAST_SCORE,
    tolerance: DetectorTolerance | None = None,
    dynamic_batch: bool = False,
) -> list[ExportedDetector]:
    """Write model.onnx, model.tflite and model.pte, as asked for, or with `nms` model-nms.onnx; boxes are decoded.

    With `int8`, model-int8.* beside each: the network in int8, what is made of its predictions in float.

    Outputs are "boxes" (1, default boxes, 4), x1, y1, x2, y2 as fractions of the image, and "scores" (1, default
    boxes, classes). What is left, non-maximum suppression, does the postprocess.py that is written beside them. With
    `nms` ONNX files do it themselves and give "boxes" (found, 4), "scores" (found,) and "classes" (found,) of what
    scores more than `least_score`, as `detections_of` would. The other formats' converters have no lowering for it.

    `check` is images, uint8 pixels (n, channels, resolution, resolution), on which each file is run; it is written
    only if it agrees with torch within the tolerance, and otherwise not there afterwards; those before it are.
    `boxes` (n, most, 5) are the objects on them as data sets give them, by which AP is worked out; int8 is held to
    torch's AP and needs them. Inputs, descriptions and `calibration` are as of `export_model`.

    Raises:
        SettingsError: an unknown format, a missing extra or folder, images that do not fit, a classifier.
        ExportError: a converter failed, or a file's outputs are not torch's. That file is not there.
        StorageError: a file could not be written, as where the disk is full.
    """
    check_formats(formats, nms)
    _check_asked(trained, least_score)
    paths = {(name, is_int8): path_in(folder, name, ("-nms" if nms else "") + ("-int8" if is_int8 else ""))
             for name in formats for is_int8 in ((False, True) if int8 else (False,))}  # fmt: skip
    images, allowed = trained.preprocessing.normalize(_checked(check)), tolerance or DetectorTolerance()
    sample = calibration_inputs(trained, calibration) if int8 else None
    expected = _Expected.of(trained, images, _known(images, boxes, int8), least_score)
    above, exported = least_score if nms else None, []
    for (name, is_int8), path in paths.items():
        inputs = sample if is_int8 else None
        file = ConvertedFile.of(
            trained, name, path, images.numpy(), inputs, dynamic_batch=dynamic_batch, nms_above=above
        )
        found = expected.beside(file, nms)
        with file.accepted():
            found.check(is_int8, allowed)
        exported.append(ExportedDetector(**file.record, nms_above=above, **asdict(found), tolerance=allowed))
        if above is None:
            write_postprocess(folder)
        file.write(trained, nms_above=above)
    return exported


@dataclass(frozen=True, eq=False)
class _Expected:
    """What torch says of the images."""

    boxes: Array  # (n, boxes, 4)
    scores: Array  # (n, boxes, classes)
    detections: list[Detections]
    least_score: float
    truth: Tensor | None  # (n, most, 5), what there is to find
    class_names: tuple[str, ...]
    ap: float | None

    @classmethod
    def of(cls, trained: TrainedModel, images: Tensor, truth: Tensor | None, least_score: float) -> _Expected:
        """The trained detector's module.

        Raises:
            SettingsError: there is nothing to find.
        """
        outputs, places = torch_outputs(trained, images), default_boxes(trained.architecture)
        boxes, scores = boxes_and_scores(outputs, places, trained.activation)
        found = detections_of(outputs, places, activation=trained.activation, score=least_score)
        names = trained.class_names
        ap = None if truth is None else average_precision(found, truth, names)
        if truth is not None and ap is None:
            raise SettingsError("AP needs something to find: take images to check with on which there are objects")
        return cls(boxes.numpy(), scores.numpy(), found, least_score, truth, names, ap)

    def beside(self, file: ConvertedFile, has_nms: bool) -> DetectorComparison:
        """The file's outputs, compared; if need be after the post-processing that goes beside it."""
        if has_nms:
            found = [Detections(*each) for each in file.outputs]
            return self._with_ap(DetectorComparison.of_detections(found, self.detections), found)
        boxes, scores = file.output(0), file.output(1)
        found = [Detections(*detections(*image, score=self.least_score)) for image in zip(boxes, scores, strict=True)]
        both = (boxes, scores), (self.boxes, self.scores)
        return self._with_ap(DetectorComparison.of(*both, found, self.detections), found)

    def _with_ap(self, compared: DetectorComparison, found: Sequence[Detections]) -> DetectorComparison:
        if self.truth is None:
            return compared
        return replace(compared, ap=average_precision(found, self.truth, self.class_names), torch_ap=self.ap)


def _check_asked(trained: TrainedModel, least_score: float) -> None:
    if not trained.architecture.is_detector:
        raise SettingsError("export_detector is for detectors: a classifier is exported with export_model")
    if not 0 <= least_score < 1:
        raise SettingsError(f"least_score should be from 0 to below 1, got {least_score}")


def _known(images: Tensor, boxes: Tensor | None, int8: bool) -> Tensor | None:
    """What there is to find on the images.

    Raises:
        SettingsError: it is not known where it has to be, or of other images.
    """
    if boxes is None:
        if int8:
            raise SettingsError("int8 is checked by AP, which needs what is on the images to check with (boxes)")
        return None
    if boxes.ndim != 3 or len(boxes) != len(images) or boxes.shape[2] != 5:
        raise SettingsError(f"boxes should have the shape ({len(images)}, most, 5), got {tuple(boxes.shape)}")
    return boxes


def _checked(check: Tensor | None) -> Tensor:
    if check is None or len(check) < CHECKED:
        raise SettingsError(f"an export is checked on at least {CHECKED} images (check); some dozens do well")
    return check
