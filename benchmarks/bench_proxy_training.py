"""Proxy training: images per second of our two workers beside one plain PyTorch loop, and where the time goes.

    python benchmarks/bench_proxy_training.py                       # both parts, five to ten minutes
    python benchmarks/bench_proxy_training.py --networks 1 --rounds 1

Every way trains the same networks of the quickstart space on the same digits with the same batch and kind of
optimizer. The plain loop is what one writes first: torch's own convolutions, TensorDataset, DataLoader,
`torch.optim.RMSprop`, eager, all defaults, one thread per core. A second plain loop has our modules, whose
depthwise convolutions bring their own gradient: it shows what is the training's and what the module's doing.
Ours is `mnas.training.train` in the search's own worker processes, one thread each, weight average included.
The ways take turns, so that a change of the machine's load meets all of them.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import platform
import random
import statistics
import time
import unittest.mock
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mnas.accuracy import ProxyTask
from mnas.datasets import DigitsDataset, MemoryImages
from mnas.executors import ProcessExecutor, outcomes
from mnas.models import Network, _conv, build_model
from mnas.space import Architecture, mnasnet_space
from mnas.training import Recipe, train

RESOLUTION, BATCH = 16, 64
DATASET = DigitsDataset(resolution=RESOLUTION)
RATE = 0.01  # small: what is timed is the work, not the result


@dataclass(frozen=True)
class Loop:
    """A plain loop, step by step brought to ours."""

    name: str
    own_gradient: bool = False  # our modules' gradient of depthwise convolutions
    in_memory: bool = False  # batches gathered from one tensor, without DataLoader
    channels_last: bool = False


STEPS = (
    Loop("plain loop"),
    Loop("+ own depthwise gradient", True),
    Loop("+ images in memory", True, True),
    Loop("+ channels last", True, True, True),
)


def networks(count: int) -> list[Architecture]:
    """Random members of the quickstart's space."""
    space = mnasnet_space(0.35, RESOLUTION, (1, 1, 2, 2, 1, 1, 1), 2, 128, classes=10, input_channels=1)
    generator = random.Random(1)
    return [space.decode(space.sample(generator)) for _ in range(count)]


def plain(architecture: Architecture, epochs: int, threads: int, loop: Loop) -> float:
    """Images per second of a plain loop."""
    torch.set_num_threads(threads)
    images = DATASET.split("train")
    with torch_kernels(not loop.own_gradient):
        model = build_model(architecture, seed=0)
        if loop.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.RMSprop(
            model.parameters(), RATE, alpha=0.9, eps=1e-3, momentum=0.9, weight_decay=1e-5
        )
        batches = from_memory(images) if loop.in_memory else from_loader(images)
        start, seen = time.perf_counter(), 0
        for _ in range(epochs):
            for pixels, labels in batches():
                optimizer.zero_grad()
                loss = F.cross_entropy(model(pixels), labels, label_smoothing=0.1)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                seen += len(labels)
        return seen / (time.perf_counter() - start)


def torch_kernels(wanted: bool) -> contextlib.AbstractContextManager[object]:
    """Our modules with torch's own convolutions, if wanted."""
    if not wanted:
        return contextlib.nullcontext()
    return unittest.mock.patch.object(_conv, "is_worthwhile", return_value=False)


def normalized(pixels: Tensor) -> Tensor:
    """Floats of mean 0 and deviation 1."""
    return (pixels / 255 - DATASET.mean[0]) / DATASET.std[0]


def from_loader(images: MemoryImages) -> Callable[[], Iterator[list[Tensor]]]:
    """torch's loader with its defaults, over floats made beforehand."""
    data = TensorDataset(normalized(images.pixels).contiguous(), images.labels)
    return lambda: iter(DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True))


def from_memory(images: MemoryImages) -> Callable[[], Iterator[tuple[Tensor, Tensor]]]:
    """Our batches."""
    return lambda: ((normalized(pixels), labels) for pixels, labels in images.batches(BATCH, seed=0))


def ours(architecture: Architecture, epochs: int) -> float:
    """Images per second of `mnas.training.train` on one thread, building the network left out as in the loops."""
    torch.set_num_threads(1)
    model: Network = build_model(architecture, seed=0)
    recipe = Recipe(epochs=epochs, batch=BATCH, learning_rate=RATE)
    result = train(model, DATASET, recipe, seed=0, evaluate_on=None)
    return result.images / result.seconds


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Ways:
    """Each way in processes of its own, started and warm before anything is timed."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.cores = os.cpu_count() or 1
        self.workers = ProcessExecutor(2)
        spawn = multiprocessing.get_context("spawn")
        self.rival = concurrent.futures.ProcessPoolExecutor(1, spawn)

    def images_per_second(self, architecture: Architecture) -> dict[str, float]:
        """One figure per way, one way after the other."""
        first, second = STEPS[:2]
        return {
            "plain loop, all cores": self._plain(architecture, self.cores, first),
            "plain loop with our modules, all cores": self._plain(architecture, self.cores, second),
            "plain loop, one thread": self._plain(architecture, 1, first),
            "ours, one worker": self._ours(architecture, 1),
            "ours, two workers": self._ours(architecture, 2),
        }

    def close(self) -> None:
        """End the processes."""
        self.workers.close()
        self.rival.shutdown()

    def _plain(self, architecture: Architecture, threads: int, loop: Loop) -> float:
        return self.rival.submit(plain, architecture, self.epochs, threads, loop).result()

    def _ours(self, architecture: Architecture, workers: int) -> float:
        """By the wall clock of the process that hands the work out, so that a worker's idle time counts."""
        jobs = dict.fromkeys(range(workers), (architecture, self.epochs))
        images = workers * self.epochs * (len(DATASET.split("train")) // BATCH) * BATCH
        return images / timed(lambda: list(outcomes(self.workers, ours, jobs)))


def compare(architectures: list[Architecture], rounds: int, epochs: int) -> dict[str, float]:
    """Medians over rounds, geometric means over networks; prints the table."""
    ways = Ways(epochs)
    try:
        for _ in range(2):
            ways.images_per_second(architectures[0])  # libraries are loaded, both workers have the images
        found = [[ways.images_per_second(architecture) for _ in range(rounds)] for architecture in architectures]
    finally:
        ways.close()
    medians = {
        name: statistics.geometric_mean(statistics.median(row[name] for row in rows) for rows in found)
        for name in found[0][0]
    }
    base = medians["plain loop, all cores"]
    print(
        f"images per second: {len(architectures)} quickstart networks, batch {BATCH}, {RESOLUTION} px; medians of "
        f"{rounds} rounds, geometric means over networks"
    )
    for name, value in medians.items():
        print(f"  {name:42}{value:9,.0f}{value / base:7.2f} x")
    per_network = [
        statistics.median(row["ours, two workers"] / row["plain loop, all cores"] for row in rows) for rows in found
    ]
    print(f"  two workers / plain loop, network by network: {', '.join(f'{ratio:.2f}' for ratio in per_network)}")
    return medians


def where(architectures: list[Architecture], rounds: int, epochs: int) -> dict[str, float]:
    """Each step from the plain loop to ours, on one thread; prints the table."""
    runs: dict[str, Callable[[Architecture], float]] = {
        loop.name: lambda architecture, loop=loop: plain(architecture, epochs, 1, loop)  # type: ignore[misc]
        for loop in STEPS
    }
    runs["+ weights in one vector = ours"] = lambda architecture: ours(architecture, epochs)
    for run in runs.values():
        run(architectures[0])
    medians = {}
    found = [[{name: run(each) for name, run in runs.items()} for _ in range(rounds)] for each in architectures]
    for name in runs:
        medians[name] = statistics.geometric_mean(statistics.median(row[name] for row in rows) for rows in found)
    print("\nwhere the time goes: images per second on one thread, each line with everything above it")
    for name, value in medians.items():
        print(f"  {name:42}{value:9,.0f}{value / medians['plain loop']:7.2f} x")
    return medians


def main() -> None:
    """Both parts and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    architectures = networks(options.networks)
    ratios = compare(architectures, options.rounds, options.epochs)
    steps = where(architectures, options.rounds, options.epochs)
    document = {
        "benchmark": "proxy_training",
        "unit": "images/s",
        "task": ProxyTask(DATASET).task,
        "results": {name: round(value, 1) for name, value in ratios.items()},
        "two_workers_over_plain_loop": round(ratios["ours, two workers"] / ratios["plain loop, all cores"], 3),
        "one_worker_over_one_thread": round(ratios["ours, one worker"] / ratios["plain loop, one thread"], 3),
        "one_thread": {name: round(value, 1) for name, value in steps.items()},
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
