"""The folder of one trained model, and what lies in it.

training.toml            every resolved setting, where the architecture comes from, versions, the commit
checkpoint.safetensors   while it is being trained
curve.jsonl              one line per epoch
model.safetensors        the trained model (mnas.models.load_model)
scores.json              by split; a detector's: detection_scores.json
examples.jpg             what a detector finds on a few validation pictures
exports.json, model.onnx, model.onnx.json, model-int8.onnx, ...; a detector's: model-nms.onnx, postprocess.py
latency.json             where it was measured
choice.json              what it was chosen among, where mnas ship chose it
card.html, card.md
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import tomli_w

from mnas._toml import read_toml
from mnas._whole_file import remove_unfinished, write_whole
from mnas.config import Part
from mnas.detection_scores import DetectionScores
from mnas.errors import SettingsError, StorageError
from mnas.folder import commit, toml_values, versions
from mnas.objective import Latency
from mnas.report import Candidate
from mnas.scores import Scores
from mnas.space import Architecture
from mnas.storage import lock_folder
from mnas.training import Recipe

if TYPE_CHECKING:
    from mnas.export import Exported, ExportedDetector
    from mnas.models import TrainedModel

_Export = TypeVar("_Export", "Exported", "ExportedDetector")

FORMAT_VERSION = 1  # counts up when the files or their meaning change
# Of a data set: where its files lie and how they are read changes no result.
_NOT_COMPARED = ("path", "annotations", "images", "loader_workers", "max_memory_gb")


@dataclass(frozen=True)
class TrainingSettings:
    """What decides how a model comes out."""

    name: str  # as what it was asked for: "runs/flowers:best", "mnasnet-a1"
    architecture: Architecture
    dataset: Part
    recipe: Recipe
    seed: int = 0
    weights: str | None = None  # what it starts from; None: fresh ones
    teacher: str | None = None  # whose answers it learns too, with distillation: a model's folder, or timm:NAME
    run: str | None = None  # the run folder that the architecture comes from
    trial: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as training.toml has them."""
        return {
            "model": {
                "name": self.name, "architecture": str(self.architecture), "seed": self.seed, "weights": self.weights,
                "teacher": self.teacher, "run": self.run, "trial": self.trial,
            },
            "dataset": self.dataset.model_dump(),
            "recipe": self.recipe.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingSettings:
        """The inverse of `to_dict`."""
        model = dict(data["model"])
        architecture, recipe = Architecture.parse(model.pop("architecture")), Recipe(**data["recipe"])
        return cls(architecture=architecture, dataset=Part(**data["dataset"]), recipe=recipe, **model)

    def differences(self, other: TrainingSettings) -> list[str]:
        """What of the other's settings would give another model, by key."""
        ours, theirs = (_compared(settings) for settings in (self, other))
        keys = sorted({*ours, *theirs})
        return [f"{k}: it has {ours.get(k)}, now it is {theirs.get(k)}" for k in keys if ours.get(k) != theirs.get(k)]


class ModelFolder:
    """One model's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def model_file(self) -> Path:
        """The trained model, once it is."""
        return self.path / "model.safetensors"

    @property
    def is_finished(self) -> bool:
        """Whether the training is over."""
        return self.model_file.is_file()

    @property
    def is_begun(self) -> bool:
        """Whether a training was begun here."""
        return (self.path / "training.toml").is_file()

    @property
    def examples(self) -> Path:
        """Where a detector's drawn predictions lie."""
        return self.path / "examples.jpg"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, which is made if need be, for this process alone.

        Raises:
            StorageError: another process has it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {self.path}: {error}") from error
        with contextlib.closing(lock_folder(self.path, f"{self.path}/curve.jsonl has a line per epoch")):
            remove_unfinished(self.path)
            yield

    def begin(self, settings: TrainingSettings, class_names: Sequence[str], resume: bool) -> None:
        """Write training.toml, or check that what is begun here is the same.

        Raises:
            SettingsError: something is here and it is not asked to go on.
            StorageError: what is here is no training, another one, or a later version's.
        """
        if not self.is_begun:
            self._check_empty()
            self._write_training(settings, class_names)
        elif not resume:
            how = "is trained already; evaluate or export it" if self.is_finished else "is begun; go on with --resume"
            raise SettingsError(f"the training in {self.path} {how}, or name another folder with --out")
        else:
            self._check_same(settings, class_names)

    def settings(self) -> TrainingSettings:
        """What training.toml says.

        Raises:
            StorageError: there is none, it is damaged or a later version's.
        """
        return self._parsed(self._training())

    def class_names(self) -> tuple[str, ...]:
        """Of the data set that it is trained on."""
        return tuple(self._training()["classes"])

    def remove_checkpoint(self) -> None:
        """Once the model is there, nothing goes on from it."""
        from mnas.training import Checkpoints

        Checkpoints(self.path).path.unlink(missing_ok=True)

    def trained(self) -> TrainedModel:
        """The trained model.

        Raises:
            SettingsError: it is not trained to the end.
        """
        from mnas.models import load_model

        if not self.is_finished:
            what = "not trained to the end: mnas train --resume goes on" if self.is_begun else "no model's folder"
            raise SettingsError(f"{self.path} is {what}; it has no {self.model_file.name}")
        return load_model(self.model_file)

    def add_epoch(self, epoch: int, accuracy: float) -> None:
        """Write an epoch's line; later ones of before an interruption are dropped, for they come again."""
        rows = [known for known in self.curve() if known["epoch"] < epoch]
        rows.append({"epoch": epoch, "accuracy": accuracy})
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        write_whole(self.path / "curve.jsonl", text.encode())

    def curve(self) -> list[dict[str, Any]]:
        """A row per epoch: epoch, accuracy."""
        path = self.path / "curve.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]

    def scores(self) -> dict[str, Scores]:
        """By split, what was evaluated."""
        return {part: Scores.from_dict(row) for part, row in (self._read("scores.json") or {}).items()}

    def add_scores(self, part: str, scores: Scores) -> None:
        """Keep the scores of a split."""
        rows = {**self.scores(), part: scores}
        self._write("scores.json", {name: row.to_dict() for name, row in rows.items()})

    def detection_scores(self) -> dict[str, DetectionScores]:
        """By split, what was evaluated of a detector."""
        rows = self._read("detection_scores.json") or {}
        return {part: DetectionScores.from_dict(row) for part, row in rows.items()}

    def add_detection_scores(self, part: str, scores: DetectionScores) -> None:
        """Keep a detector's scores of a split."""
        rows = {**self.detection_scores(), part: scores}
        self._write("detection_scores.json", {name: row.to_dict() for name, row in rows.items()})

    def accuracy(self, part: str) -> float | None:
        """What a model is chosen by: a classifier's accuracy, a detector's AP; None where it was not evaluated.

        An AP that there is none of, for want of boxes, is 0.
        """
        if found := self.detection_scores().get(part):
            return found.ap or 0.0
        scores = self.scores().get(part)
        return scores.accuracy if scores else None

    def exports(self) -> list[Exported]:
        """What was exported, as checked then; files that are gone are left out."""
        from mnas.export import Exported, Tolerance

        return self._exports(Exported, Tolerance)

    def add_exports(self, exports: Sequence[Exported]) -> None:
        """Keep what was exported; of one file the latest."""
        self._add_exports(self.exports(), exports)

    def detector_exports(self) -> list[ExportedDetector]:
        """The same of a detector."""
        from mnas.export import DetectorTolerance, ExportedDetector

        return self._exports(ExportedDetector, DetectorTolerance)

    def add_detector_exports(self, exports: Sequence[ExportedDetector]) -> None:
        """Likewise."""
        self._add_exports(self.detector_exports(), exports)

    def latency(self) -> Latency | None:
        """Where it was measured."""
        row = self._read("latency.json")
        return Latency.from_dict(row) if row else None

    def set_latency(self, latency: Latency) -> None:
        """Keep what was measured."""
        self._write("latency.json", asdict(latency))

    def choice(self) -> tuple[list[Candidate], list[str]]:
        """What it was chosen among, and the commands that make it again; nothing where it was not chosen."""
        row = self._read("choice.json") or {"candidates": [], "commands": []}
        rows = row["candidates"]
        candidates = [Candidate(**{**each, "latency": Latency.from_dict(each["latency"])}) for each in rows]
        return candidates, row["commands"]

    def set_choice(self, candidates: Sequence[Candidate], commands: Sequence[str]) -> None:
        """Keep what it was chosen among, for its card."""
        self._write("choice.json", {"candidates": [asdict(each) for each in candidates], "commands": [*commands]})

    def made(self) -> dict[str, Any]:
        """All of training.toml, as the model file keeps it."""
        return self._training()

    def _check_empty(self) -> None:
        found = sorted(entry.name for entry in self.path.iterdir() if not entry.name.startswith("."))
        if found:
            raise SettingsError(
                f"{self.path} should be an empty folder or a new one, it has {', '.join(found[:3])}: name another "
                "with --out"
            )

    def _write_training(self, settings: TrainingSettings, class_names: Sequence[str]) -> None:
        created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        document = {
            "version": FORMAT_VERSION, "created": created, "commit": commit(), "classes": list(class_names),
            **settings.to_dict(), "versions": versions(),
        }  # fmt: skip
        write_whole(self.path / "training.toml", tomli_w.dumps(toml_values(document)).encode())

    def _check_same(self, settings: TrainingSettings, class_names: Sequence[str]) -> None:
        differing = self.settings().differences(settings)
        if list(class_names) != list(self.class_names()):
            differing.append(f"classes: it has {_few(self.class_names())}, now there are {_few(class_names)}")
        if differing:
            raise StorageError(
                f"the training in {self.path} was begun with other settings and cannot go on with these:\n  "
                + "\n  ".join(differing)
                + "\nName another folder with --out, or give the settings that it has"
            )

    def _training(self) -> dict[str, Any]:
        if not self.is_begun:
            raise StorageError(f"{self.path} is not a model's folder: it has no training.toml")
        try:
            data = read_toml(self.path / "training.toml")
        except SettingsError as error:
            raise StorageError(str(error)) from error
        if data.get("version") != FORMAT_VERSION:
            raise StorageError(
                f"{self.path} has format {data.get('version')}, this mnas reads format {FORMAT_VERSION}: "
                "use the mnas that made it"
            )
        return data

    def _parsed(self, data: Mapping[str, Any]) -> TrainingSettings:
        try:
            return TrainingSettings.from_dict(data)
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"{self.path}/training.toml is damaged: {error}") from error

    def _exports(self, kind: type[_Export], tolerance: type[Any]) -> list[_Export]:
        rows = self._read("exports.json") or []
        made = [
            {
                **row,
                "path": self.path / row["path"],
                "tolerance": tolerance(**row["tolerance"]),
                "latency": Latency.from_dict(row["latency"]) if row.get("latency") else None,
            }
            for row in rows
        ]
        return [kind(**row) for row in made if row["path"].is_file()]

    def _add_exports(self, before: Sequence[_Export], exports: Sequence[_Export]) -> None:
        fresh = {row.path for row in exports}
        kept: list[_Export] = [row for row in before if row.path not in fresh]
        self._write("exports.json", [asdict(row) | {"path": row.path.name} for row in [*kept, *exports]])

    def _write(self, name: str, document: Any) -> None:
        write_whole(self.path / name, (json.dumps(document, allow_nan=False) + "\n").encode())

    def _read(self, name: str) -> Any:
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} is damaged: {error}. Remove it and make it again") from error


def _compared(settings: TrainingSettings) -> dict[str, Any]:
    tables = toml_values(settings.to_dict())
    flat = {f"{table}.{key}": value for table, rows in tables.items() for key, value in rows.items()}
    left_out = {"model.name", "model.run", "model.trial", *(f"dataset.{key}" for key in _NOT_COMPARED)}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in flat.items() if key not in left_out}


def _few(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
