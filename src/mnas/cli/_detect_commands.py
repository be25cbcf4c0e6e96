"""The verbs of `mnas detect`: detectors trained, evaluated, and used on a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnas.cli import _detect_display, _names
from mnas.cli._app import app
from mnas.cli._commands import AsJson
from mnas.cli._model_commands import (
    DETECTORS_RECIPE,
    AtOnce,
    Compile,
    Epochs,
    Folder,
    On,
    PrecisionName,
    Seed,
    Split,
    Weights,
    finish,
    hardware_of,
    is_first,
    known_split,
    recipe_of,
)
from mnas.errors import SettingsError
from mnas.models import reference_names

detect = typer.Typer(help="Find objects: SSDLite on any backbone.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(detect, name="detect")

Boxes = Annotated[
    str | None,
    typer.Option("--data", help="COCO annotations (.json), a folder of COCO or Pascal VOC, or a settings file."),
]
Pictures = Annotated[Path | None, typer.Option(help="The pictures' folder, for annotations in one file.")]
_PIXELS = 320  # the paper's


@detect.command("train")
def train_detector(
    out: Annotated[Path, typer.Option(help="The detector's folder.")],
    data: Boxes = None,
    images: Pictures = None,
    backbone: Annotated[
        str, typer.Option(help="RUN:best, RUN:17, a reference model or block strings.")
    ] = "mnasnet-a1",
    recipe: Annotated[str, typer.Option(help="A recipe's name (see mnas list) or file.")] = DETECTORS_RECIPE,
    epochs: Epochs = None,
    weights: Weights = None,
    seed: Seed = 0,
    width: Annotated[
        float, typer.Option(help="Width multiplier, of a reference model and of the extra layers.", min=0.01)
    ] = 1.0,
    resolution: Annotated[
        int | None, typer.Option(help="Input pixels. Default: a detector's own, else 320.", min=32)
    ] = None,
    on: On = "auto",
    precision: PrecisionName = "auto",
    images_at_once: AtOnce = 0,
    compile: Compile = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    json: AsJson = False,
) -> None:
    """Train a detector on a backbone. Under torchrun all its processes train together."""
    from mnas import detector_run
    from mnas.model_folder import ModelFolder, TrainingSettings

    if data is None:
        raise SettingsError("--data is needed: COCO annotations, a folder of COCO or Pascal VOC, or a settings file")
    part = _names.detection_part(data, images)
    found = _names.trial(backbone) if _names.is_trial(backbone) else None
    architecture = _names.architecture(backbone, width if backbone in reference_names() else 1.0, resolution)
    if resolution is None and not architecture.is_detector:
        architecture = architecture.replace(resolution=_PIXELS)
    settings = TrainingSettings(
        name=backbone,
        architecture=detector_run.with_detection_head(architecture, width),
        dataset=part,
        recipe=recipe_of(recipe, epochs),
        seed=seed,
        weights=weights,
        run=str(found[0].folder.resolve()) if found else None,
        trial=found[1].number if found else None,
    )
    hardware = hardware_of(on, precision, images_at_once, compile)
    was_finished = ModelFolder(out).is_finished
    model = finish(
        "the same command with --resume",
        lambda watch: detector_run.train_detector(settings, out, resume=resume, hardware=hardware, watch=watch),
    )
    if is_first():
        _detect_display.print_detector(model, was_finished, json)


@detect.command("evaluate")
def evaluate_detector(
    model: Folder,
    split: Split = "validation",
    data: Boxes = None,
    images: Pictures = None,
    results: Annotated[Path | None, typer.Option(help="Write what was found as a COCO result file.")] = None,
    json: AsJson = False,
) -> None:
    """COCO's metrics of a detector, and each class's."""
    from mnas.detection_scores import write_results
    from mnas.detector_run import evaluate_detector

    part = known_split(split)
    scores, found = evaluate_detector(model, part, _names.detection_part(data, images) if data else None)
    if results is not None:
        write_results(results, found)
    _detect_display.print_detection_scores(model, part, scores, json)


@detect.command("predict")
def predict(
    model: Folder,
    picture: Annotated[Path, typer.Argument(help="An image file.")],
    out: Annotated[Path | None, typer.Option(help="Draw the boxes into this image file.")] = None,
    least_score: Annotated[float, typer.Option(help="Boxes below it are left out.", min=0.0, max=1.0)] = 0.3,
    json: AsJson = False,
) -> None:
    """What a detector finds on a picture."""
    from mnas.detector_run import find_objects, trained_detector
    from mnas.model_folder import ModelFolder

    trained = trained_detector(ModelFolder(model))
    image = _names.picture(picture)
    found = find_objects(trained, image, least_score)
    if out is not None:
        from mnas.report import draw_boxes

        _names.save_picture(draw_boxes(image, found, trained.class_names, least_score), out)
    _detect_display.print_detections(picture, image.size, found, trained.class_names, out, json)
