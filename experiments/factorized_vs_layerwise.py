"""Does the factorized hierarchical space find better networks than the flat one, in equal trials of real training?

    python experiments/factorized_vs_layerwise.py --data fashion-mnist.npz    # runs what results/ lacks
    python experiments/factorized_vs_layerwise.py --plot                      # runs nothing: figure and table

Searches lie in --runs and go on there if they were stopped; finished, they are in the CSV. Then the best network of
each is trained long. docs/experiments/factorized_vs_layerwise.md tells what came out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import argparse
import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TypeVar

from _factorized_vs_layerwise_report import Final, Report, Tried, plot, summary, tables
from _page import ROOT, publish
from _small_fashion import TRAIN, VALIDATION, FewImages, dataset, factorized_space, layerwise_space

import mnas
from mnas.accuracy import ProxyTask
from mnas.space import Architecture

NAME = "factorized_vs_layerwise"
RESULTS = Path(__file__).parent / "results" / f"{NAME}.csv"
TRIALS, SEEDS, EPOCHS, LONG = 40, 5, 3, 15
TARGET_MS = 0.11  # about the median of both spaces on the simulated device
SPACES: dict[str, Callable[[int], mnas.BlockSpace]] = {"factorized": factorized_space, "layerwise": layerwise_space}
CONTROLLERS = ("guided",)
T = TypeVar("T", Tried, Final)


@dataclass(frozen=True)
class Job:
    """One search."""

    space: str
    controller: str
    seed: int

    @property
    def word(self) -> str:
        """As a folder's name."""
        return f"{self.space}-{self.controller}-{self.seed}"


def search(job: Job, data: FewImages, trials: int, runs: Path) -> mnas.SearchResult:
    """The search, as a user of the library would write it."""
    return mnas.search(
        SPACES[job.space](len(data.class_names)),
        objective=mnas.WeightedProduct.soft(TARGET_MS),
        device="simulated",  # a formula of ops and MAdds, so that latencies are the same everywhere
        controller=job.controller,
        dataset=data,
        accuracy={"name": "proxy", "epochs": EPOCHS},
        trials=trials,
        seed=job.seed,
        workers=0,
        final={"top": 0},
        name=job.word,
        out=runs / job.word,
    )


def run(jobs: Iterable[Job], data: FewImages, trials: int, runs: Path, results: Path) -> None:
    """Search what the file lacks."""
    for job in jobs:
        if sum((row.space, row.controller, row.seed) == astuple(job) for row in read(results, Tried)) < trials:
            result = search(job, data, trials, runs)
            append(results, (tried(job, trial) for trial in result.trials), Tried)
            print(f"{job.word}: best reward {max(trial.reward for trial in result.trials):.4f}", flush=True)


def tried(job: Job, trial: mnas.Trial) -> Tried:
    """A trial as a row."""
    accuracy, latency_ms = trial.accuracy or 0.0, trial.latency_ms or float("inf")
    cached = int(trial.cached)
    word = str(trial.architecture)
    return Tried(
        job.space, job.controller, job.seed, trial.number, word, round(latency_ms, 6), round(accuracy, 6),
        round(trial.reward, 6), cached,
    )  # fmt: skip


def train_best(jobs: Iterable[Job], data: FewImages, epochs: int, results: Path, finals: Path) -> None:
    """Train the best network of each search long, and read its accuracy on the validation images."""
    for job in jobs:
        if any((row.space, row.controller, row.seed) == astuple(job) for row in read(finals, Final)):
            continue
        rows = [row for row in read(results, Tried) if (row.space, row.controller, row.seed) == astuple(job)]
        best = max(rows, key=lambda row: row.reward)
        architecture = Architecture.parse(best.architecture)
        accuracy = ProxyTask(data, epochs=epochs).estimate(architecture, seed=1_000_000 + job.seed).accuracy
        known = (best.architecture, best.latency_ms, best.accuracy)
        row = Final(job.space, job.controller, job.seed, *known, epochs, round(accuracy, 6))
        append(finals, [row], Final)
        print(f"{job.word}: {accuracy:.4f} after {epochs} epochs", flush=True)


def append(path: Path, rows: Iterable[Tried | Final], kind: type[Tried] | type[Final]) -> None:
    """In one write, so that a search is in the file as a whole or not at all."""
    path.parent.mkdir(exist_ok=True, parents=True)
    head = [] if path.exists() else [[field.name for field in fields(kind)]]
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([*head, *map(astuple, rows)])


def read(path: Path, kind: type[T]) -> list[T]:
    """All rows of a file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [kind.parse(row) for row in csv.DictReader(file)]


def main(given: Sequence[str] | None = None) -> None:
    options = arguments(given)
    finals = options.results.with_stem(f"{options.results.stem}_finals")
    if not options.plot:
        data = dataset(options.data, options.images, options.validation)
        jobs = [Job(space, name, seed) for name in CONTROLLERS for seed in range(options.seeds) for space in SPACES]
        run(jobs, data, options.trials, options.runs, options.results)
        train_best(jobs, data, options.long, options.results, finals)
    report = Report(read(options.results, Tried), read(finals, Final), TARGET_MS)
    text = tables(report)
    print(text)
    print(json.dumps(summary(report)))
    publish(NAME, text, plot(report), options.results, options.results == RESULTS)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="Fashion-MNIST as one .npz file")
    parser.add_argument("--plot", action="store_true", help="run nothing, make figure and table of what is there")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the CSV file (default: the committed one)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / NAME, help="folder of the searches' run folders")
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"of each search (default: {TRIALS})")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many, from 0 (default: {SEEDS})")
    parser.add_argument(
        "--long", type=int, default=LONG, help=f"epochs of the best networks' training (default: {LONG})"
    )
    parser.add_argument("--images", type=int, default=TRAIN, help=f"to train on (default: {TRAIN:,})")
    parser.add_argument("--validation", type=int, default=VALIDATION, help=f"images (default: {VALIDATION:,})")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
