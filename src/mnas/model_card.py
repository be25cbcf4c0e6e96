"""A model's card, from what lies in its folder and in the run that it comes from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mnas.errors import MnasError
from mnas.folder import load_result
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.report import Card, Origin, write_card

if TYPE_CHECKING:
    from mnas.export import Exported, ExportedDetector

SHIPPED = "model"  # the folder of a run's shipped model


def write_model_card(model: ModelFolder) -> None:
    """Write card.html and card.md from what lies in the folder, of a classifier or a detector."""
    trained, settings = model.trained(), model.settings()
    is_detector = trained.architecture.is_detector
    candidates, commands = model.choice()
    origin, notes = _origin(settings)
    latency = model.latency()
    if latency is None and origin is not None and origin.trial.architecture.id == trained.architecture.id:
        latency = origin.trial.measurement.latency
    write_card(
        Card(
            title=_title(model, origin),
            architecture=trained.architecture,
            class_names=trained.class_names,
            preprocessing=trained.preprocessing,
            training=_training_facts(settings, model.made()),
            curve=[row["accuracy"] for row in model.curve()],
            scores=model.detection_scores() if is_detector else model.scores(),
            exports=model.detector_exports() if is_detector else model.exports(),
            examples=model.examples.read_bytes() if model.examples.is_file() else None,
            latency=latency,
            origin=origin,
            candidates=candidates,
            commands=commands or _commands(model),
            notes=notes,
        ),
        model.path,
    )


def _title(model: ModelFolder, origin: Origin | None) -> str:
    """The folder's name, but for the one that every ship has."""
    name = model.path.resolve().name
    return f"{origin.result.name}, trial {origin.trial.number}" if origin and name == SHIPPED else name


def _origin(settings: TrainingSettings) -> tuple[Origin | None, list[str]]:
    """The search that the architecture comes from, as long as its folder is there."""
    if settings.run is None or settings.trial is None:
        return None, []
    try:
        result = load_result(settings.run)
        return Origin(result, result.trials[settings.trial]), []
    except (MnasError, IndexError) as error:
        return None, [f"it comes from trial {settings.trial} of {settings.run}, which cannot be read: {error}"]


def _training_facts(settings: TrainingSettings, made: Mapping[str, Any]) -> dict[str, Any]:
    dataset = {key: value for key, value in settings.dataset.model_dump().items() if key != "name"}
    measures = "APs" if settings.architecture.is_detector else "accuracies"
    return {
        "data set": settings.dataset.name + (f" ({_listed(dataset)})" if dataset else ""),
        "trained on": f"the train split; the epochs' {measures} are those of the validation split",
        "starts from": settings.weights or "fresh weights",
        "recipe": str(settings.recipe),
        "seed": settings.seed,
        "begun": made["created"],
        "versions": _listed(made["versions"]) + (f", commit {made['commit'][:12]}" if made["commit"] else ""),
    }


def _commands(model: ModelFolder) -> list[str]:
    """What makes all this again."""
    path = str(model.path)
    is_detector = model.settings().architecture.is_detector
    evaluate = ["mnas", "detect", "evaluate"] if is_detector else ["mnas", "evaluate"]
    lines = [["mnas", "train", str(model.path / "training.toml"), "--out", f"{path}-again"]]
    parts = list(model.detection_scores() if is_detector else model.scores())
    lines += [[*evaluate, path, *(["--split", part] if part == "test" else [])] for part in parts]
    lines += _detector_export_commands(model) if is_detector else _export_command(path, model.exports())
    return [shlex.join(line) for line in lines]


def _export_command(path: str, exports: Sequence[Exported | ExportedDetector]) -> list[list[str]]:
    """What writes these files, if there are any."""
    if not exports:
        return []
    formats = [word for name in dict.fromkeys(row.format for row in exports) for word in ("--to", name)]
    is_int8 = any(row.precision == "int8" for row in exports)
    return [["mnas", "export", path, *formats, *(["--int8"] if is_int8 else [])]]


def _detector_export_commands(model: ModelFolder) -> list[list[str]]:
    """Files with suppression inside are written by a command of their own."""
    exports = model.detector_exports()
    lines = _export_command(str(model.path), [row for row in exports if row.nms_above is None])
    inside = [row for row in exports if row.nms_above is not None]
    for line in _export_command(str(model.path), inside):
        lines.append([*line, "--nms", "--least-score", f"{inside[-1].nms_above:g}"])
    return lines


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
