"""The verbs that make a trained model of an architecture, and files of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from mnas.cli import _console, _detect_display, _model_display, _names, _ship_display
from mnas.cli._app import INTERRUPTED, app
from mnas.cli._commands import AsJson, Int8
from mnas.config import Part
from mnas.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from mnas.export import Exported, ExportedDetector
    from mnas.model_folder import ModelFolder
    from mnas.model_run import Watch
    from mnas.space import Architecture
    from mnas.training import Hardware, Recipe

Folder = Annotated[Path, typer.Argument(help="A model's folder, as mnas train and mnas ship make them.")]
Data = Annotated[
    str | None,
    typer.Option(help="A folder of images, a data set's name, an .npz file, or a settings file with [dataset]."),
]
RecipeName = Annotated[
    str | None, typer.Option("--recipe", help="A recipe's name (see mnas list) or file. Default: by what it is for.")
]
Epochs = Annotated[int | None, typer.Option(help="In place of the recipe's.", min=1)]
Weights = Annotated[
    str | None,
    typer.Option(help="Weights to start from: a model's folder or file, timm:semnasnet_100, torchvision:mnasnet1_0."),
]
Teacher = Annotated[
    str | None,
    typer.Option(help="For recipes with distillation: a model's folder, timm:NAME or torchvision:NAME."),
]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
On = Annotated[str, typer.Option("--on", help="Where to train: auto, cpu or cuda.")]
PrecisionName = Annotated[str, typer.Option("--precision", help="To train in: auto, fp32, bf16 or fp16.")]
AtOnce = Annotated[
    int, typer.Option(help="Images taken through the network at once, to fit memory. 0: a batch.", min=0)
]
Compile = Annotated[bool, typer.Option("--compile", help="Train with torch.compile.")]
Formats = Annotated[
    list[str] | None, typer.Option("--to", help="A format: onnx, litert or executorch. Several times for several.")
]
ToInt8 = Annotated[bool, typer.Option("--int8", help="Also quantized to int8, calibrated on training images.")]
Split = Annotated[str, typer.Option(help="validation or test.")]

DETECTORS_RECIPE = "ssdlite-small"  # unless another one is named

# A few processes do for a table of files, and whoever exports on a busy machine gets a wider interval, not an error.
_THIS_MACHINE = Part.model_validate({"name": "cpu", "processes": 5, "busy": "accept", "patience_s": 10})

_Result = TypeVar("_Result")


@app.command()
def train(
    name: Annotated[
        str, typer.Argument(help="RUN:best, RUN:17, a reference model, block strings, or a training.toml to repeat.")
    ],
    out: Annotated[Path, typer.Option(help="The model's folder.")],
    data: Data = None,
    recipe: RecipeName = None,
    epochs: Epochs = None,
    weights: Weights = None,
    teacher: Teacher = None,
    seed: Seed = 0,
    width: Annotated[float, typer.Option(help="Width multiplier, for reference models.", min=0.01)] = 1.0,
    resolution: Annotated[int | None, typer.Option(help="Input pixels. Default: the architecture's own.")] = None,
    on: On = "auto",
    precision: PrecisionName = "auto",
    images_at_once: AtOnce = 0,
    compile: Compile = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    json: AsJson = False,
) -> None:
    """Train a model of an architecture. Under torchrun all its processes train together."""
    from mnas.detector_run import train_detector
    from mnas.model_folder import ModelFolder, TrainingSettings
    from mnas.model_run import train_model

    if Path(name).name == "training.toml":
        if data or recipe or epochs or weights or teacher:
            raise SettingsError(
                f"{name} says how to train: --data, --recipe, --epochs, --weights, --teacher go without"
            )
        settings = ModelFolder(Path(name).parent).settings()
    else:
        found = _names.trial(name) if _names.is_trial(name) else None
        architecture = _names.architecture(name, width, resolution)
        settings = TrainingSettings(
            name=name,
            architecture=architecture,
            dataset=_data(data),
            recipe=_recipe(recipe, epochs, weights, architecture),
            seed=seed,
            weights=weights,
            teacher=teacher,
            run=str(found[0].folder.resolve()) if found else None,
            trial=found[1].number if found else None,
        )
    again = f"mnas train {out / 'training.toml'} --out {out} --resume"
    hardware = hardware_of(on, precision, images_at_once, compile)
    was_finished = ModelFolder(out).is_finished
    is_detector = settings.architecture.is_detector
    work = train_detector if is_detector else train_model
    model = finish(again, lambda watch: work(settings, out, resume=resume, hardware=hardware, watch=watch))
    if is_first():
        (_detect_display.print_detector if is_detector else _model_display.print_model)(model, was_finished, json)


@app.command()
def evaluate(
    model: Folder,
    split: Split = "validation",
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Score a trained model on images: accuracy, F1, the confusion matrix."""
    from mnas.model_run import evaluate_model

    part = known_split(split)
    scores = evaluate_model(model, part, _data(data) if data else None)
    _model_display.print_scores(model, part, scores, json)


@app.command()
def export(
    model: Folder,
    to: Formats = None,
    int8: ToInt8 = False,
    nms: Annotated[bool, typer.Option("--nms", help="Of a detector: suppression inside of the file (onnx).")] = False,
    least_score: Annotated[
        float | None, typer.Option(help="With --nms: what scores less is left out. Default: next to nothing.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="To measure the files on: a name or a settings file. Default: this machine.")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="Whether to measure the files.")] = True,
    json: AsJson = False,
) -> None:
    """Write a trained model for runtimes, each file checked in its runtime on real images, and measured."""
    from mnas.export import check_formats
    from mnas.measured_files import measure_files
    from mnas.model_folder import ModelFolder

    formats, folder = to or ["onnx"], ModelFolder(model)
    check_formats(formats, nms)
    if device and not measure:
        raise SettingsError("--device is where the files are measured: leave it or --no-measure out")
    part = _names.device_part(device, Part(name="")) if device else _THIS_MACHINE

    def work(watch: Watch) -> set[Path]:
        written = {row.path for row in _exported(folder, formats, int8, nms, least_score, watch)}
        if measure:
            measure_files(model, part, watch=watch)
        return written

    written = finish(None, work)
    if folder.settings().architecture.is_detector:
        detectors = [row for row in folder.detector_exports() if row.path in written]
        _detect_display.print_detector_exports(model, detectors, json)
    else:
        _model_display.print_exports(model, [row for row in folder.exports() if row.path in written], json)


def _exported(
    model: ModelFolder, formats: list[str], int8: bool, nms: bool, least_score: float | None, watch: Watch
) -> Sequence[Exported | ExportedDetector]:
    """Files written, of a classifier or of a detector."""
    from mnas.detector_run import export_detector_model
    from mnas.model_run import export_model

    if model.settings().architecture.is_detector:
        if least_score is not None and not nms:
            raise SettingsError(
                "--least-score is for --nms: without it the file gives all scores, and the app chooses"
            )
        return export_detector_model(model.path, formats, int8=int8, nms=nms, least_score=least_score, watch=watch)
    if nms or least_score is not None:
        raise SettingsError(f"--nms and --least-score are for detectors, and {model.path} is a classifier")
    return export_model(model.path, formats, int8=int8, watch=watch)


@app.command()
def ship(
    run: Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart-20260101-120000.")],
    data: Annotated[
        str | None,
        typer.Option(help="Images, as for mnas train; for detectors boxes, as for mnas detect train."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Of detectors: the pictures' folder, for annotations in one file.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best networks to train.", min=1)] = 5,
    device: Annotated[
        str | None, typer.Option(help="To measure on: a name or a settings file. Default: the run's device.")
    ] = None,
    recipe: RecipeName = None,
    epochs: Epochs = None,
    weights: Weights = None,
    teacher: Teacher = None,
    to: Formats = None,
    int8: Int8 = False,
    seed: Seed = 0,
    on: On = "auto",
    precision: PrecisionName = "auto",
    images_at_once: AtOnce = 0,
    compile: Compile = False,
    out: Annotated[Path | None, typer.Option(help="Where to. Default: RUN/ship.")] = None,
    json: AsJson = False,
) -> None:
    """Train the best few of a run, choose on validation images, test once, export, measure, write the card."""
    from mnas.folder import load_result, stored_settings
    from mnas.ship import ShipSettings
    from mnas.ship import ship as ship_run

    stored = stored_settings(run).dataset
    if data is None and stored is None:
        raise SettingsError(f"{run} was searched without images: name those to train on with --data")
    best = load_result(run).best
    architecture = best.architecture if best else None
    settings = ShipSettings(
        run=run,
        dataset=_shipped_on(data, images, architecture) if data else stored or Part(name=""),
        recipe=_recipe(recipe, epochs, weights, architecture),
        top=top,
        seed=seed,
        weights=weights,
        teacher=teacher,
        device=_names.device_part(device, Part(name="")) if device else None,
        formats=tuple(to or ["onnx"]),
        int8=int8,
    )
    hardware = hardware_of(on, precision, images_at_once, compile)
    again = "the same command"
    shipped = finish(again, lambda watch: ship_run(settings, out, hardware=hardware, watch=watch))
    _ship_display.print_shipped(shipped, json)


def _shipped_on(data: str, images: Path | None, architecture: Architecture | None) -> Part:
    """The data set that is named, of the kind that the architecture is for."""
    if architecture is not None and architecture.is_detector:
        return _names.detection_part(data, images)
    if images is not None:
        raise SettingsError(f"--images is for runs that searched detectors; here {data} is images with labels")
    return _data(data)


def _data(name: str | None) -> Part:
    if name is None:
        raise SettingsError(
            "--data is needed: a folder of images, a data set's name or a settings file with [dataset]"
        )
    return _names.dataset_part(name)


def _recipe(name: str | None, epochs: int | None, weights: str | None, architecture: Architecture | None) -> Recipe:
    """The recipe that is asked for, or the one for what is done, with other epochs if these are given."""
    usual = "finetune" if weights else "small-images"
    if architecture is not None and architecture.is_detector:
        usual = DETECTORS_RECIPE
    elif architecture is not None and architecture.resolution > _SMALL and not weights:
        usual = "imagenet-modern"
    return recipe_of(name or usual, epochs)


def recipe_of(name: str, epochs: int | None) -> Recipe:
    """The recipe of that name or file, with other epochs if these are given."""
    from dataclasses import replace

    from mnas.training import load_recipe

    recipe = load_recipe(name)
    if epochs is None:
        return recipe
    return replace(recipe, epochs=epochs, warmup_epochs=min(recipe.warmup_epochs, epochs))


def known_split(name: str) -> Literal["validation", "test"]:
    """One of the two that are evaluated.

    Raises:
        SettingsError: neither.
    """
    if name not in ("validation", "test"):
        raise did_you_mean("split", name, ("validation", "test"))
    return "test" if name == "test" else "validation"


def hardware_of(on: str, precision: str, images_at_once: int, compile: bool) -> Hardware:
    """Where and how to train, from the options of that name."""
    from mnas.training import Hardware, started_by_torchrun

    return Hardware(
        device=on,  # type: ignore[arg-type]  # it refuses other words itself
        precision=precision,  # type: ignore[arg-type]
        images_at_once=images_at_once,
        compile=compile,
        distributed=started_by_torchrun(),
    )


def is_first() -> bool:
    """Whether this process is the one that prints, of those that torchrun started."""
    from mnas.training import rank

    return rank() == 0


_SMALL = 64  # pixels, up to which the recipe for small images is meant


def finish(again: str | None, work: Callable[[Watch], _Result]) -> _Result:
    """Do the work under a progress bar; Ctrl-C says how to go on."""
    try:
        with _model_display.watched() as watch:
            return work(watch)
    except KeyboardInterrupt as interrupt:
        kept = "; ".join(["everything finished is kept", *getattr(interrupt, "__notes__", [])])
        _console.say(f"\nstopped{f'; {kept}. Go on with: {again}' if again else ''}")
        raise typer.Exit(INTERRUPTED) from None
