"""One detector, from its architecture to boxes on pictures: what `mnas detect` does.

settings -> folder -> training -> COCO's metrics on validation; then more metrics, and what it finds on a picture
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mnas import registry
from mnas.config import Part
from mnas.datasets import DetectionDataset
from mnas.datasets import Part as Split
from mnas.detection_scores import DetectionScores
from mnas.errors import SettingsError
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.model_run import Watch, check_fits, fitted, is_first_process, spread_batches, train_into, train_once
from mnas.space import Architecture, DetectionHead

if TYPE_CHECKING:
    from mnas.export import ExportedDetector, Format
    from mnas.models import Detections, Detector, Preprocessing, TrainedModel
    from mnas.training import Hardware

_CHECK_IMAGES = 64


def make_detection_dataset(part: Part, architecture: Architecture) -> DetectionDataset:
    """The data set at the architecture's resolution, unless the part names one.

    Raises:
        SettingsError: an unknown name or key, or annotations that are not there or wrong.
    """
    made: DetectionDataset = registry.make(
        "detection", part.name, {"resolution": architecture.resolution} | part.options
    )
    return made


def with_detection_head(architecture: Architecture, width: float = 1.0) -> Architecture:
    """A detector as it is; a classifier's head is replaced by SSDLite, its extra layers `width` times as wide."""
    if architecture.is_detector:
        return architecture
    return architecture.replace(head=DetectionHead(architecture.head.filters, width=width))


def train_detector(
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = False,
    hardware: Hardware | None = None,
    watch: Watch | None = None,
) -> ModelFolder:
    """Train a detector into a folder and evaluate it on the validation split.

    As `train_model`, with boxes in place of labels: a classifier's head is replaced by SSDLite, the classes are
    fitted to the data set, and an interrupted training goes on with `resume`.

    Raises:
        SettingsError: the folder is in use for something else, or a setting is wrong.
        StorageError: another process trains there, or what was begun there is another training.
        TrainingError: the training diverged or ran out of memory; the message names the last good checkpoint.
    """
    from mnas.training import scored

    dataset = make_detection_dataset(settings.dataset, settings.architecture)
    architecture = fitted(with_detection_head(settings.architecture), dataset)
    settings = replace(settings, architecture=architecture)
    model, watch = ModelFolder(folder), watch or Watch()
    if not is_first_process(hardware):
        _train(settings, dataset, _detector(settings, watch), model, hardware, watch)
        return model
    with model.locked():
        train_once(
            model,
            settings,
            dataset,
            resume,
            lambda: _detector(settings, watch),
            lambda detector: _train(settings, dataset, detector, model, hardware, watch),
        )
        if "validation" not in model.detection_scores():
            watch.phase("evaluating on the validation images")
            trained = model.trained()
            scores, _ = scored(trained.module, dataset, "validation", trained.activation)
            model.add_detection_scores("validation", scores)
    return model


def evaluate_detector(
    folder: Path, part: Split = "validation", data: Part | None = None
) -> tuple[DetectionScores, list[dict[str, Any]]]:
    """COCO's metrics on a split of the detector's data set, or of another one with the same classes, and the results.

    The results are as COCO's servers want them. Scores on its own data set are kept in the folder.

    Raises:
        SettingsError: no trained detector is there, or the data set's classes are not the detector's.
    """
    from mnas.training import scored

    model = ModelFolder(folder)
    trained = trained_detector(model)
    dataset = make_detection_dataset(data or model.settings().dataset, trained.architecture)
    check_fits(model, trained, dataset, "evaluate it")
    scores, results = scored(trained.module, dataset, part, trained.activation)
    if data is None:
        with model.locked():
            model.add_detection_scores(part, scores)
    return scores, results


def export_detector_model(
    folder: Path,
    formats: Sequence[str],
    *,
    nms: bool = False,
    least_score: float | None = None,
    watch: Watch | None = None,
) -> list[ExportedDetector]:
    """Write a trained detector for runtimes, each file checked on validation images in its runtime.

    With `nms` ONNX files do the non-maximum suppression themselves, of what scores more than `least_score`.

    Raises:
        SettingsError: no trained detector is there, an unknown format, or a library is missing.
        ExportError: a file's outputs are not the detector's; that file is removed.
    """
    import torch

    from mnas.export import check_formats, export_detector
    from mnas.models._detections import LEAST_SCORE

    model, watch = ModelFolder(folder), watch or Watch()
    check_formats(formats, nms)
    trained = trained_detector(model)
    dataset = make_detection_dataset(model.settings().dataset, trained.architecture)
    least = LEAST_SCORE if least_score is None else least_score
    with model.locked():
        watch.phase("reading images to check with")
        batches = spread_batches(dataset.split("validation"), _CHECK_IMAGES)
        check = torch.cat([pixels for pixels, _ in batches])[:_CHECK_IMAGES]
        made: list[ExportedDetector] = []
        for name in formats:
            watch.phase(f"exporting to {name} and checking the file")
            found = export_detector(trained, folder, [cast("Format", name)], check, nms=nms, least_score=least)
            model.add_detector_exports(found)  # one by one: a format that fails leaves the others
            made += found
    return made


def find_objects(trained: TrainedModel, picture: Any, score: float = 0.3) -> Detections:
    """What a detector finds on one picture with at least this score; boxes are shares of the picture's sides.

    The picture is a PIL image of any size.

    Raises:
        SettingsError: the model is a classifier.
    """
    import numpy as np
    import torch
    from PIL import Image

    from mnas.models import default_boxes, detections_of

    preprocessing = trained.preprocessing
    side = (preprocessing.resolution, preprocessing.resolution)
    resized = picture.convert("L" if preprocessing.channels == 1 else "RGB").resize(side, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized)).reshape(*side, -1).permute(2, 0, 1)[None]
    with torch.inference_mode():
        outputs = trained.module.eval()(preprocessing.normalize(pixels))
    boxes = default_boxes(trained.architecture)
    return detections_of(outputs, boxes, activation=trained.activation, score=score)[0]


def trained_detector(model: ModelFolder) -> TrainedModel:
    """The folder's trained detector.

    Raises:
        SettingsError: it is not trained to the end, or a classifier.
    """
    trained = model.trained()
    if not trained.architecture.is_detector:
        raise SettingsError(f"{model.path} is a classifier: mnas evaluate is for it")
    return trained


def _detector(settings: TrainingSettings, watch: Watch) -> Detector:
    from mnas.models import build_detector, load_detector_weights

    if settings.weights is None:
        return build_detector(settings.architecture, seed=settings.seed)
    watch.phase(f"loading the weights {settings.weights}")
    return load_detector_weights(settings.weights, settings.architecture, seed=settings.seed)


def _train(
    settings: TrainingSettings,
    dataset: DetectionDataset,
    detector: Detector,
    model: ModelFolder,
    hardware: Hardware | None,
    watch: Watch,
) -> None:
    from mnas.training import Detection, activation_of

    train_into(
        model,
        settings,
        dataset,
        detector,
        is_multilabel=activation_of(settings.recipe) == "sigmoid",
        preprocessing=_preprocessing(dataset),
        task=Detection(detector.architecture, settings.recipe),
        hardware=hardware,
        watch=watch,
    )


def _preprocessing(dataset: DetectionDataset) -> Preprocessing:
    from mnas.models import Preprocessing

    mean, std = tuple(dataset.mean), tuple(dataset.std)
    return Preprocessing(dataset.resolution, dataset.channels, mean, std, 1.0, is_stretched=True)
