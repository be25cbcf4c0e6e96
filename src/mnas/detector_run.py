"""One detector, from its architecture to boxes on pictures: what `mnas detect` does.

settings -> folder -> training -> COCO's metrics on validation -> card; then more metrics, files, the card again, and
what it finds on a picture
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mnas import registry
from mnas._whole_file import write_whole
from mnas.config import Part
from mnas.datasets import BoxedImages, DetectionDataset
from mnas.datasets import Part as Split
from mnas.detection_scores import DetectionScores
from mnas.errors import SettingsError
from mnas.model_card import write_model_card
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.model_run import (
    CALIBRATION_IMAGES,
    Watch,
    check_fits,
    fitted,
    is_first_process,
    spread_batches,
    train_into,
    train_once,
)
from mnas.space import Architecture, DetectionHead

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from mnas.export import ExportedDetector, Format
    from mnas.models import Detections, Detector, Preprocessing, TrainedModel
    from mnas.training import Hardware

_CHECK_IMAGES, _INT8_CHECK_IMAGES = 64, 256  # AP wants more than single boxes and scores
_EXAMPLES, _EXAMPLE_SIDE = 4, 360  # pictures that are drawn for the card, and the longer side of each in pixels
_SHOWN = 0.3  # the least score of a box that is drawn


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
    """Train a detector into a folder, evaluate it on the validation split and write its card.

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
            draw_examples(model, trained, dataset)
            model.add_detection_scores("validation", scores)
        write_model_card(model)
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
            write_model_card(model)
    return scores, results


def export_detector_model(
    folder: Path,
    formats: Sequence[str],
    *,
    int8: bool = False,
    nms: bool = False,
    least_score: float | None = None,
    watch: Watch | None = None,
) -> list[ExportedDetector]:
    """Write a trained detector for runtimes, each file checked on validation images in its runtime; the card follows.

    With `int8` each format is also written quantized, calibrated on training images and held to torch's AP on the
    validation images. With `nms` ONNX files do the non-maximum suppression themselves, of what scores more than
    `least_score`.

    Raises:
        SettingsError: no trained detector is there, an unknown format, or a library is missing.
        ExportError: a file's outputs are not the detector's; that file is removed.
    """
    from mnas.export import check_formats, export_detector
    from mnas.models._detections import LEAST_SCORE

    model, watch = ModelFolder(folder), watch or Watch()
    check_formats(formats, nms)
    trained = trained_detector(model)
    dataset = make_detection_dataset(model.settings().dataset, trained.architecture)
    least = LEAST_SCORE if least_score is None else least_score
    with model.locked():
        watch.phase("reading images to calibrate and check with" if int8 else "reading images to check with")
        calibration, _ = sample_boxed(dataset.split("train"), CALIBRATION_IMAGES) if int8 else (None, None)
        check, boxes = sample_boxed(dataset.split("validation"), _INT8_CHECK_IMAGES if int8 else _CHECK_IMAGES)
        made: list[ExportedDetector] = []
        for name in formats:
            watch.phase(f"exporting to {name} and checking the file")
            found = export_detector(
                trained,
                folder,
                [cast("Format", name)],
                check,
                boxes=boxes if int8 else None,
                int8=int8,
                calibration=calibration,
                nms=nms,
                least_score=least,
            )
            model.add_detector_exports(found)  # one by one: a format that fails leaves the others
            made += found
        write_model_card(model)
    return made


def sample_boxed(images: BoxedImages, most: int) -> tuple[Tensor, Tensor]:
    """At most so many of the images, spread over the whole split as evaluation sees them, and their boxes."""
    import torch
    from torch.nn.functional import pad

    pixels, boxes = zip(*spread_batches(images, most), strict=True)
    rows = max(some.shape[1] for some in boxes)
    alike = [pad(some, (0, 0, 0, rows - some.shape[1]), value=-1) for some in boxes]  # class -1: not in use
    return torch.cat(pixels)[:most], torch.cat(alike)[:most]


def draw_examples(model: ModelFolder, trained: TrainedModel, dataset: DetectionDataset) -> None:
    """What the detector finds on the first validation images, each in its own shape, as one picture in the folder."""
    from PIL import Image

    from mnas.report import draw_boxes

    images = dataset.split("validation")
    pixels, _ = next(images.batches(_EXAMPLES))
    sizes = {row["id"]: (row["width"], row["height"]) for row in images.truth()["images"]}
    drawn = []
    for name, square in zip(images.image_ids, pixels, strict=False):  # the first of all
        scale = _EXAMPLE_SIDE / max(sizes[name])
        picture = Image.fromarray(square.permute(1, 2, 0).numpy().squeeze())
        picture = picture.resize(tuple(max(1, round(scale * side)) for side in sizes[name]))
        drawn.append(draw_boxes(picture, find_objects(trained, picture, _SHOWN), trained.class_names, _SHOWN))
    buffer = io.BytesIO()
    _beside_each_other(drawn).save(buffer, format="JPEG", quality=85)
    write_whole(model.examples, buffer.getvalue())


def _beside_each_other(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures in two columns on white."""
    from PIL import Image

    width, height = (max(sides) for sides in zip(*(one.size for one in pictures), strict=True))
    columns = min(2, len(pictures))
    sheet = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    for place, one in enumerate(pictures):
        sheet.paste(one, (place % columns * width, place // columns * height))
    return sheet


def find_objects(trained: TrainedModel, picture: Image.Image, score: float = 0.3) -> Detections:
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
