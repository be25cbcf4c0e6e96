"""From a finished search to a model that was trained, chosen, tested, exported and measured: what `mnas ship` does.

best few of the front -> latency on the device -> each trained -> best on validation -> tested once -> files, card

Classifiers and detectors go the same way; what a detector is chosen by is AP.

ship.json           what was asked for, latencies, what failed, which was chosen
ship.toml, recipe.toml   the settings, for the command that makes it all again
candidates/trial-N  a model folder for each
model               the model folder of the one that was chosen, with its files and its card
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli_w

from mnas import registry
from mnas._whole_file import remove_unfinished, write_whole
from mnas.config import Part, Settings
from mnas.datasets import DatasetFacts
from mnas.detection_scores import DetectionScores
from mnas.detector_run import evaluate_detector, export_detector_model, make_detection_dataset, train_detector
from mnas.devices import Device
from mnas.errors import CandidateError, MeasurementError, SettingsError, StorageError, TrainingError
from mnas.folder import load_result, stored_settings, toml_values
from mnas.measured_files import measure_files
from mnas.model_card import SHIPPED, write_model_card
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.model_run import (
    Watch,
    evaluate_model,
    export_model,
    fitted,
    make_dataset,
    train_model,
)
from mnas.objective import Latency, Measurement, Objective
from mnas.report import Candidate
from mnas.result import SearchResult
from mnas.scores import Scores
from mnas.ship_journal import ShipJournal
from mnas.space import Architecture, count_madds, count_params, peak_activation_bytes, weight_bytes
from mnas.storage import lock_folder
from mnas.training import Recipe
from mnas.trial import Trial

if TYPE_CHECKING:
    from mnas.export import Exported, ExportedDetector
    from mnas.training import Hardware

# Those of them that the kind of model has; the last one says that all are there.
_COPIED = (
    "training.toml", "curve.jsonl", "scores.json", "detection_scores.json", "examples.jpg", "model.safetensors",
)  # fmt: skip


class _Kind(NamedTuple):
    """What is done with models of a kind."""

    make_dataset: Callable[[Part, Architecture], DatasetFacts]
    train: Callable[..., ModelFolder]
    evaluate: Callable[..., object]
    export: Callable[..., object]


def _kind(is_detector: bool) -> _Kind:
    if is_detector:
        return _Kind(make_detection_dataset, train_detector, evaluate_detector, export_detector_model)
    return _Kind(make_dataset, train_model, evaluate_model, export_model)


@dataclass(frozen=True)
class ShipSettings:
    """What is made of a run."""

    run: Path
    dataset: Part
    recipe: Recipe
    top: int = 5
    seed: int = 0
    weights: str | None = None
    teacher: str | None = None
    device: Part | None = None  # None: the run's
    formats: tuple[str, ...] = ("onnx",)
    int8: bool = False

    def __post_init__(self) -> None:
        if self.top < 1:
            raise SettingsError(f"top should be at least 1, got {self.top}")

    @property
    def identity(self) -> dict[str, Any]:
        """What must stay the same for an interrupted ship to go on."""
        dataset = {key: value for key, value in self.dataset.model_dump().items() if key != "loader_workers"}
        rest = {"top": self.top, "seed": self.seed, "weights": self.weights, "teacher": self.teacher}
        device = self.device.model_dump() if self.device else None
        described = {"dataset": dataset, "recipe": self.recipe.to_dict(), "device": device, **rest}
        plain: dict[str, Any] = json.loads(json.dumps(described, default=str))
        return plain


@dataclass(frozen=True)
class Shipped:
    """What came of it."""

    model: ModelFolder
    candidates: tuple[Candidate, ...]  # those that were looked at, the best reward of the search first
    scores: Scores | DetectionScores  # on the test split
    latency: Latency
    exports: tuple[Exported, ...] | tuple[ExportedDetector, ...]


def ship(
    settings: ShipSettings, out: Path | None = None, *, hardware: Hardware | None = None, watch: Watch | None = None
) -> Shipped:
    """Train the best few of a run, choose one, test it once, export, measure and describe it.

        shipped = ship(ShipSettings(Path("runs/flowers"), Part(name="folder", path="~/flowers"), recipe, top=5))
        shipped.model.path, shipped.scores.accuracy

    The networks are measured first, and only those that keep the run's hard limits on the device are trained. Of
    these the one of the highest reward is chosen, by the run's objective, its validation accuracy (a detector's AP)
    and its latency.
    It is not trained again on the validation images: what was chosen is what is tested. Interrupted, it goes on.

    Raises:
        SettingsError: nothing to ship, a missing library (before anything is trained), a wrong setting.
        StorageError: another process ships there, or it was begun with other settings.
        TrainingError: no candidate could be trained.
        ExportError: a file's outputs are not the model's.
        DeviceError: the device is not there; what is trained stays.
    """
    from mnas.export import check_formats

    check_formats(settings.formats)
    folder = out or settings.run / "ship"
    result, stored = load_result(settings.run), stored_settings(settings.run)
    if not result.front:
        raise SettingsError(f"{settings.run} has no completed trial to ship")
    if result.front[0].architecture.is_detector and settings.teacher:
        raise SettingsError(f"{settings.run} searched detectors, which are trained without a teacher: leave it out")
    folder.mkdir(parents=True, exist_ok=True)
    with closing(lock_folder(folder, f"mnas evaluate {folder / 'model'}")):
        remove_unfinished(folder)
        journal = ShipJournal(folder / "ship.json")
        journal.begin(settings.identity)
        return _Ship(settings, result, stored, folder, journal, hardware, watch or Watch()).run()


@dataclass(frozen=True)
class _Entry:
    """A network of the front, as it is trained."""

    trial: Trial
    architecture: Architecture  # fitted to the data set
    latency: Latency
    broken: tuple[str, ...]  # hard limits, in words

    @property
    def label(self) -> str:
        return f"trial {self.trial.number}"

    @property
    def folder_name(self) -> str:
        return f"trial-{self.trial.number}"


@dataclass(frozen=True)
class _Ship:
    """One ship in progress."""

    settings: ShipSettings
    result: SearchResult
    stored: Settings
    folder: Path
    journal: ShipJournal
    hardware: Hardware | None
    watch: Watch

    def run(self) -> Shipped:
        entries = list(self._entries())
        able = [entry for entry in entries if not entry.broken]
        if not able:
            raise SettingsError(self._nothing_fits(entries))
        for number, entry in enumerate(able, start=1):
            self._train(entry, f"{entry.label}, {number} of {len(able)}")
        chosen = self._choose(able)
        model = self._model(chosen)
        self._finish(model, chosen)
        candidates = tuple(self._candidate(entry, chosen) for entry in entries)
        model.set_choice(candidates, [self._command()])
        write_model_card(model)
        if self.is_detector:
            exports = tuple(model.detector_exports())
            return Shipped(model, candidates, model.detection_scores()["test"], chosen.latency, exports)
        return Shipped(model, candidates, model.scores()["test"], chosen.latency, tuple(model.exports()))

    @property
    def is_detector(self) -> bool:
        return self.result.front[0].architecture.is_detector

    @property
    def kind(self) -> _Kind:
        return _kind(self.is_detector)

    @cached_property
    def device_part(self) -> Part:
        """The given device, else the run's; where that predicts, what its front was measured on."""
        if self.settings.device is not None:
            return self.settings.device
        part = self.stored.device
        front = getattr(registry.make("device", part.name, part.options), "measure_on", None)
        part = part if front is None else Part(**front)
        # A search measures hundreds of networks and takes less care; what is shipped is measured as well as can be.
        careful = {key: value for key, value in part.options.items() if key not in ("half_width", "patience_s")}
        return Part.model_validate({"name": part.name, **careful})

    @cached_property
    def device(self) -> Device:
        part = self.device_part
        made: Device = registry.measuring_device(part.name, part.options)
        return made

    @cached_property
    def dataset(self) -> DatasetFacts:
        return self.kind.make_dataset(self.settings.dataset, self.result.front[0].architecture)

    @cached_property
    def objective(self) -> Objective:
        return self.stored.objective.objective(self.result.target_ms)

    def _entries(self) -> Iterator[_Entry]:
        """The best of the front until enough of them keep the hard limits, measured on the device."""
        able = 0
        for trial in sorted(self.result.front, key=lambda trial: -trial.reward):
            if able == self.settings.top:
                return
            self.watch.phase(f"measuring trial {trial.number}")
            architecture = fitted(trial.architecture, self.dataset)
            latency = self._latency(architecture)
            if latency is None:
                continue
            broken = tuple(self.objective.caps.violations(_measurement(architecture, latency)))
            able += not broken
            yield _Entry(trial, architecture, latency, broken)

    def _latency(self, architecture: Architecture) -> Latency | None:
        """What the device says, once; None where it cannot run this network."""
        fingerprint = self.device.info().fingerprint
        known = self.journal.latency(fingerprint, architecture)
        if known is None:
            try:
                known = self.device.measure(architecture)
            except MeasurementError as error:
                self.watch.phase(f"left out, it cannot be measured: {error}")
                return None
            self.journal.add_latency(fingerprint, architecture, known)
        return known

    def _nothing_fits(self, entries: Sequence[_Entry]) -> str:
        lines = [f"{entry.label}: {'; '.join(entry.broken)}" for entry in entries]
        said = "\n  ".join(lines) or "none of them can be measured there"
        return (
            f"no network of the front keeps the run's hard limits on {self.device.info().name}:\n  {said}\n"
            "Ship for another device with --device, or search with this one"
        )

    def _train(self, entry: _Entry, which: str) -> None:
        """Train a candidate; one that failed before is not tried again."""
        if entry.trial.number in self.journal.failed:
            return
        watch = replace(self.watch, phase=lambda words: self.watch.phase(f"{which}: {words}"))
        try:
            self.kind.train(
                self._training(entry), self._path(entry), resume=True, hardware=self.hardware, watch=watch
            )
        except CandidateError as error:
            self.journal.add_failure(entry.trial.number, str(error))

    def _training(self, entry: _Entry) -> TrainingSettings:
        ours = self.settings
        return TrainingSettings(
            name=f"{ours.run}:{entry.trial.number}",
            architecture=entry.architecture,
            dataset=ours.dataset,
            recipe=ours.recipe,
            seed=ours.seed,
            weights=ours.weights,
            teacher=ours.teacher,
            run=str(ours.run.resolve()),
            trial=entry.trial.number,
        )

    def _choose(self, entries: Sequence[_Entry]) -> _Entry:
        """The highest reward by validation accuracy and latency; what was chosen and tested stays chosen."""
        trained = [entry for entry in entries if self._accuracy(entry) is not None]
        if not trained:
            reasons = "\n  ".join(f"trial {number}: {why}" for number, why in self.journal.failed.items())
            raise TrainingError(f"none of the candidates could be trained:\n  {reasons}")
        number = self.journal.chosen
        if number is None:
            best = max(trained, key=lambda entry: (self._reward(entry), -entry.trial.number))
            self.journal.choose(best.trial.number)
            return best
        for entry in trained:
            if entry.trial.number == number:
                return entry
        raise StorageError(
            f"{self.folder} has chosen and tested trial {number}, which is no candidate on {self.device.info().name} "
            "now. Ship into another folder with --out"
        )

    def _reward(self, entry: _Entry) -> float:
        return self.objective.score(self._accuracy(entry) or 0.0, entry.latency.latency_ms)

    def _accuracy(self, entry: _Entry) -> float | None:
        return ModelFolder(self._path(entry)).accuracy("validation")

    def _model(self, chosen: _Entry) -> ModelFolder:
        """The chosen candidate in a folder of its own."""
        model = ModelFolder(self.folder / SHIPPED)
        model.path.mkdir(exist_ok=True)
        remove_unfinished(model.path)  # where all else is there, nobody else would
        if not model.is_finished:
            for made in (self._path(chosen) / name for name in _COPIED):
                if made.is_file():
                    write_whole(model.path / made.name, made.read_bytes())
        return model

    def _finish(self, model: ModelFolder, chosen: _Entry) -> None:
        """Test once, export what is not there yet, and measure the files."""
        model.set_latency(chosen.latency)
        if model.accuracy("test") is None:
            self.watch.phase("testing once, on the test images")
            self.kind.evaluate(model.path, "test")
        wanted = {(name, precision) for name in self.settings.formats for precision in self._precisions}
        exports = model.detector_exports() if self.is_detector else model.exports()
        there = {(row.format, row.precision) for row in exports}
        missing = [name for name in self.settings.formats if any(pair[0] == name for pair in wanted - there)]
        if missing:
            self.kind.export(model.path, missing, int8=self.settings.int8, watch=self.watch)
        measure_files(model.path, self.device_part, watch=self.watch)

    @property
    def _precisions(self) -> tuple[str, ...]:
        return ("fp32", "int8") if self.settings.int8 else ("fp32",)

    def _candidate(self, entry: _Entry, chosen: _Entry) -> Candidate:
        failure = self.journal.failed.get(entry.trial.number)
        note = "; ".join(entry.broken) or (f"its training failed: {failure}" if failure else "")
        return Candidate(entry.label, entry.latency, self._accuracy(entry), note, entry is chosen)

    def _path(self, entry: _Entry) -> Path:
        return self.folder / "candidates" / entry.folder_name

    def _command(self) -> str:
        """What makes all this again, with the files that hold the settings."""
        ours, parts, recipe = self.settings, self.folder / "ship.toml", self.folder / "recipe.toml"
        tables = {"dataset": ours.dataset.model_dump()}
        tables |= {"device": ours.device.model_dump()} if ours.device else {}
        write_whole(parts, tomli_w.dumps(toml_values(tables)).encode())
        write_whole(recipe, tomli_w.dumps(ours.recipe.to_dict()).encode())
        words = ["mnas", "ship", str(ours.run), "--top", str(ours.top), "--seed", str(ours.seed)]
        words += ["--data", str(parts), "--recipe", str(recipe), *(["--device", str(parts)] if ours.device else [])]
        words += ["--weights", ours.weights] if ours.weights else []
        words += ["--teacher", ours.teacher] if ours.teacher else []
        words += [word for name in ours.formats for word in ("--to", name)] + (["--int8"] if ours.int8 else [])
        return shlex.join([*words, "--out", f"{self.folder}-again"])


def _measurement(architecture: Architecture, latency: Latency) -> Measurement:
    return Measurement(
        params=count_params(architecture),
        madds=count_madds(architecture),
        weight_bytes=weight_bytes(architecture),
        latency=latency,
        peak_activation_bytes=peak_activation_bytes(architecture),
    )
