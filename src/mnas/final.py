"""The comparison at the end: the best few of the front and two known networks, trained longer, tested once.

The references are scaled by their width multiplier to the winner's latency on the same device and get the
same recipe. The test split is touched here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from mnas._whole_file import write_whole
from mnas.accuracy import binomial_interval, retrain
from mnas.config import FinalSettings
from mnas.datasets import Dataset
from mnas.errors import CandidateError
from mnas.evaluator import Evaluator
from mnas.executors import Executor, Finished, outcomes
from mnas.models import reference_architecture
from mnas.objective import Latency
from mnas.result import Final, SearchResult
from mnas.space import Architecture, BlockSpace
from mnas.storage import RunStorage
from mnas.training import Recipe

_WIDTHS = tuple(step / 20 for step in range(1, 61))  # 0.05 to 3


@dataclass(frozen=True)
class Retrained:
    """What a training of the comparison gives. It goes to the search, for a worker may be on another machine."""

    accuracy: float  # on the test split
    onnx: bytes | None  # the trained network, of the first seed


@dataclass(frozen=True)
class FinalTask:
    """One training of the comparison, run in a worker: train long, measure on the test split."""

    dataset: Dataset
    recipe: Recipe
    settings: FinalSettings
    folder: Path

    @property
    def task(self) -> str:
        """What its accuracies are of."""
        return f"{self.dataset.name} test at {self.dataset.resolution} px: {self.recipe}"

    def train(self, architecture: Architecture, seed: int) -> Retrained:
        """Accuracy on the test split, and the first seed's network.

        Raises:
            TrainingError: the training failed.
        """
        from mnas.export import onnx_model

        trained = retrain(architecture, self.dataset, self.recipe, seed)
        onnx = onnx_model(trained.module).SerializeToString() if seed == 0 else None
        return Retrained(float(trained.accuracy), onnx)

    def path(self, architecture: Architecture) -> Path:
        """Where the trained network of the first seed lies."""
        return self.folder / f"{architecture.id}.onnx"


@dataclass(frozen=True)
class Entry:
    """A network that takes part."""

    label: str
    architecture: Architecture
    is_winner: bool = False
    is_reference: bool = False


def compare(
    result: SearchResult,
    task: FinalTask,
    evaluator: Evaluator,
    executor: Executor,
    storage: RunStorage,
    watch: Callable[[str], None],
) -> None:
    """Train and test who takes part, storing each training when it is done. What is stored is not done again."""
    if result.best is None:
        return
    task.folder.mkdir(exist_ok=True)
    watch("final: scaling the references to the winner's latency")
    entries = [*_best_of(result, task.settings.top), *_references(result, task.settings, evaluator)]
    storage.set_meta("final_entries", [_entry_row(entry, evaluator) for entry in entries])
    storage.set_meta("final_test_images", len(task.dataset.split("test")))
    done = storage.finals()
    jobs = {
        (entry.architecture.id, seed): (entry.architecture, seed)
        for entry in entries
        for seed in range(task.settings.seeds)
        if _key(entry.architecture, seed, task) not in done
        or (seed == 0 and not task.path(entry.architecture).exists())
    }
    numbered = dict(enumerate(jobs.values()))
    for finished, (number, outcome) in enumerate(outcomes(executor, task.train, numbered), start=1):
        watch(f"final: training {finished} of {len(numbered)}")
        architecture, seed = numbered[number]
        storage.add_final(_key(architecture, seed, task), _kept(outcome, task.path(architecture)))
    storage.set_meta("final_task", task.task)


def _kept(outcome: Finished[Retrained] | CandidateError, path: Path) -> dict[str, Any]:
    """What is stored of a training; its network lies in its file first, if it has one."""
    if isinstance(outcome, CandidateError):
        return {"error": str(outcome)}
    if outcome.value.onnx is not None:
        write_whole(path, outcome.value.onnx)
    return {"accuracy": outcome.value.accuracy}


def load_finals(storage: RunStorage) -> tuple[Final, ...]:
    """The comparison as stored; networks of which no training ended well are left out."""
    done = storage.finals()
    images = storage.meta("final_test_images") or 0
    rows = storage.meta("final_entries") or []
    task = storage.meta("final_task")
    return tuple(final for row in rows if task and (final := _final(row, task, done, images)) is not None)


def _final(row: Mapping[str, Any], task: str, done: Mapping[str, Any], images: int) -> Final | None:
    architecture = Architecture.parse(row["architecture"])
    prefix = f"{architecture.id} {task} "
    accuracies = tuple(
        value["accuracy"] for key, value in done.items() if key.startswith(prefix) and "accuracy" in value
    )
    if not accuracies:
        return None
    low, high = binomial_interval(fmean(accuracies), images)
    latency = Latency.from_dict(row["latency"])
    flags = {"is_winner": row["is_winner"], "is_reference": row["is_reference"]}
    return Final(row["label"], architecture, latency, accuracies, low, high, images, **flags)


def _best_of(result: SearchResult, top: int) -> list[Entry]:
    best = sorted(result.front, key=lambda trial: -trial.reward)[:top]
    return [Entry(f"trial {trial.number}", trial.architecture, trial is best[0]) for trial in best]


def _references(result: SearchResult, settings: FinalSettings, evaluator: Evaluator) -> Iterator[Entry]:
    space, best = evaluator.space, result.best
    if not isinstance(space, BlockSpace) or best is None:
        return
    target_ms = evaluator.measure(best.architecture).latency_ms  # stored; where the search predicted, measured since
    for name in settings.references:
        width = _width_for(name, space, target_ms, evaluator)
        yield Entry(f"{name} x{width:g}", reference_architecture(name, width=width, like=space), is_reference=True)


def _width_for(name: str, space: BlockSpace, latency_ms: float, evaluator: Evaluator) -> float:
    """The width at which a reference comes nearest to a latency, by bisection over the widths."""

    def gap(width: float) -> float:
        return evaluator.measure(reference_architecture(name, width=width, like=space)).latency_ms - latency_ms

    low, high = 0, len(_WIDTHS) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if gap(_WIDTHS[middle]) <= 0 else (low, middle)
    return min((_WIDTHS[low], _WIDTHS[high]), key=lambda width: abs(gap(width)))


def _entry_row(entry: Entry, evaluator: Evaluator) -> dict[str, Any]:
    return {
        "label": entry.label,
        "architecture": str(entry.architecture),
        "is_winner": entry.is_winner,
        "is_reference": entry.is_reference,
        "latency": asdict(evaluator.measure(entry.architecture)),
    }


def _key(architecture: Architecture, seed: int, task: FinalTask) -> str:
    return f"{architecture.id} {task.task} seed {seed}"
