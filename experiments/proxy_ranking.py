"""Does the proxy task rank networks as long training does? 40 random networks, trained short and long.

    python experiments/proxy_ranking.py --data fashion-mnist.npz    # trains what results/ lacks
    python experiments/proxy_ranking.py --plot                      # trains nothing: figure and table of the page

Every training is a row per epoch in results/proxy_ranking_curves.csv, written as soon as it is finished; the script
can be stopped and started at will. docs/experiments/proxy_ranking.md tells what came out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import argparse
import csv
import json
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _page import publish
from _proxy_ranking_report import Report, plot, summary, tables
from _small_fashion import TRAIN, VALIDATION, FewImages, dataset, factorized_space

from mnas.accuracy import ProxyTask
from mnas.devices import SimulatedDevice
from mnas.errors import TrainingError
from mnas.space import Architecture, count_madds, count_params

NAME = "proxy_ranking"
RESULTS = Path(__file__).parent / "results" / "proxy_ranking_curves.csv"
NETWORKS = 40
FIELDS = (
    "network", "architecture", "params", "madds", "latency_ms", "kind", "epochs", "seed", "epoch", "accuracy",
)  # fmt: skip
# (kind, epochs, seed), all networks through one before the next: wherever it is stopped, the rest is balanced.
PLAN = (
    ("long", 15, 0),
    ("short", 3, 0),
    ("short", 3, 1),
    ("long", 15, 1),
    ("short", 5, 0),
    ("short", 1, 0),
    ("short", 5, 1),
    ("short", 1, 1),
)


@dataclass(frozen=True)
class Job:
    """One training."""

    network: int
    kind: str
    epochs: int
    seed: int

    @property
    def training_seed(self) -> int:
        """No two trainings share weights or the order of images, as little as a search's and the final ones do."""
        return (self.seed * 1_000 + self.epochs) * 1_000 + self.network


def networks(count: int, classes: int) -> list[Architecture]:
    """So many distinct networks, drawn uniformly from the combinations of choices."""
    space = factorized_space(classes)
    generator = random.Random(0)
    drawn: dict[str, Architecture] = {}
    while len(drawn) < count:
        architecture = space.decode(space.sample(generator))
        drawn.setdefault(architecture.id, architecture)
    return list(drawn.values())


def run(jobs: Iterable[Job], data: FewImages, results: Path, count: int) -> None:
    """Train what the file lacks, one after the other."""
    drawn = networks(count, len(data.class_names))
    finished = set(finished_jobs(results))
    for job in jobs:
        if job not in finished:
            began = time.perf_counter()
            curve = curve_of(drawn[job.network], data, job)
            append(results, rows_of(job, drawn[job.network], curve))
            print(f"{job}: {curve[-1]:.4f} ({time.perf_counter() - began:.1f} s)", flush=True)


def curve_of(architecture: Architecture, data: FewImages, job: Job) -> Sequence[float]:
    """Validation accuracy after each epoch; zeros where the training failed, as a search has it."""
    task = ProxyTask(data, epochs=job.epochs)
    try:
        return task.estimate(architecture, seed=job.training_seed).curve
    except TrainingError as error:
        print(f"{job}: {error}", flush=True)
        return (0.0,) * job.epochs


def rows_of(job: Job, architecture: Architecture, curve: Sequence[float]) -> Iterator[tuple[object, ...]]:
    """The rows of one training."""
    latency_ms = SimulatedDevice().measure(architecture).latency_ms
    counts = count_params(architecture), count_madds(architecture), f"{latency_ms:.6f}"
    for epoch, accuracy in enumerate(curve, start=1):
        yield job.network, architecture, *counts, job.kind, job.epochs, job.seed, epoch, f"{accuracy:.6f}"


def append(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    """In one write: a training is in the file as a whole, or (if the machine stops) without its last epoch."""
    path.parent.mkdir(exist_ok=True, parents=True)
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([FIELDS, *rows] if is_new else rows)


def finished_jobs(path: Path) -> dict[Job, tuple[float, ...]]:
    """The learning curve of each training in the file that came to its end."""
    curves: dict[Job, dict[int, float]] = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                job = Job(int(row["network"]), row["kind"], int(row["epochs"]), int(row["seed"]))
                curves.setdefault(job, {})[int(row["epoch"])] = float(row["accuracy"])
    return {job: tuple(curve[e] for e in sorted(curve)) for job, curve in curves.items() if job.epochs in curve}


def latencies(path: Path) -> Any:
    """Of each network in the file, in ms."""
    with path.open(encoding="utf-8", newline="") as file:
        found = {int(row["network"]): float(row["latency_ms"]) for row in csv.DictReader(file)}
    return np.array([found[network] for network in sorted(found)])


def curves_of(found: Mapping[Job, tuple[float, ...]]) -> dict[tuple[str, int, int], Any]:
    """(kind, epochs, seed) -> array (networks, epochs); NaN where a network was not trained."""
    count = 1 + max(job.network for job in found)
    curves: dict[tuple[str, int, int], Any] = {}
    for job, curve in found.items():
        key = (job.kind, job.epochs, job.seed)
        curves.setdefault(key, np.full((count, job.epochs), np.nan))[job.network] = curve
    return curves


def main(given: Sequence[str] | None = None) -> None:
    options = arguments(given)
    if not options.plot:
        data = dataset(options.data, options.images, options.validation)
        jobs = [Job(network, *one) for one in PLAN for network in range(options.networks)]
        run(jobs, data, options.results, options.networks)
    report = Report(curves_of(finished_jobs(options.results)), latencies(options.results))
    text = tables(report)
    print(text)
    print(json.dumps(summary(report)))
    publish(NAME, text, plot(report), options.results, options.results == RESULTS)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="Fashion-MNIST as one .npz file")
    parser.add_argument("--plot", action="store_true", help="train nothing, make figure and table of what is there")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the CSV file (default: the committed one)")
    parser.add_argument("--networks", type=int, default=NETWORKS, help=f"how many (default: {NETWORKS})")
    parser.add_argument("--images", type=int, default=TRAIN, help=f"to train on (default: {TRAIN:,})")
    parser.add_argument("--validation", type=int, default=VALIDATION, help=f"images (default: {VALIDATION:,})")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
