"""One objective or two, one cell or free blocks (Tan et al. 2019, Table 5; docs/experiments/spaces_and_rewards.md).

python experiments/spaces_and_rewards.py            # runs what results/spaces_and_rewards.csv lacks
python experiments/spaces_and_rewards.py --plot     # runs nothing: figure and table
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from _experiment import Experiment, Row, markdown, spread
from _oracle import SPACE, Floats, Oracle, objective, word
from _page import BLUE, GREEN, ORANGE
from _search import search
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mnas.errors import SettingsError
from mnas.space import Architecture, Choice, SearchSpace, Tokens

DEVICES = ("zcu102", "a100")
REWARDS = ("accuracy", "soft", "hard")  # accuracy alone, and the two rewards of accuracy and latency
SEARCHES = {"ppo": (3_000, 2), "guided": (100, 3)}  # trials and seeds
CELLS = {"one-cell": (0,) * 7, "two-cells": (1, 0, 0, 0, 1, 0, 1)}  # which cell each block is
SPACES = (*CELLS, "factorized")
COLORS = {"one-cell": ORANGE, "two-cells": GREEN, "factorized": BLUE}
MARKERS = {"accuracy": "*", "soft": "o", "hard": "s"}
ANSWERS = ("op", "kernel", "se", "layers")


class CellSpace(SearchSpace):
    """Members of `accel-nasbench` whose blocks are all one cell, or one of a few.

    As in NASNet's space, what is searched is a cell and not a network: op, kernel, SE and layers are answered once
    for each cell. With two of them, blocks that halve the resolution are the one (NASNet's reduction cell), and all
    others the other (its normal cell). NASNet's cells are richer; these are what the surrogates can answer for.
    """

    def __init__(self, name: str, cell_of_block: Sequence[int]) -> None:
        self.name = name
        self._cell_of_block = tuple(cell_of_block)
        names = ("reduction", "normal") if max(cell_of_block) else ("cell",)
        first = SPACE.choices[: len(ANSWERS)]  # of the first block: those that every block has
        self.choices = tuple(
            Choice(f"{cell}.{answer}", choice.options)
            for cell in names
            for answer, choice in zip(ANSWERS, first, strict=True)
        )

    def decode(self, tokens: Tokens) -> Architecture:
        """The network whose blocks give their cell's answers."""
        self.check(tokens)
        return SPACE.decode(tuple(token for cell in self._cell_of_block for token in self._answers(tokens, cell)))

    def encode(self, architecture: Architecture) -> Tokens:
        """The cells' answers of a network whose blocks agree."""
        whole = SPACE.encode(architecture)
        cells = [self._cell_of_block.index(cell) for cell in range(max(self._cell_of_block) + 1)]
        tokens = tuple(token for block in cells for token in self._answers(whole, block))
        self.check(tokens)
        if self.decode(tokens) != architecture:
            raise SettingsError(f"not a member of space {self.name!r}: blocks of one cell should have equal answers")
        return tokens

    def describe(self) -> dict[str, Any]:
        """The space of the blocks, and which block is which cell."""
        return {"name": self.name, "cell_of_block": list(self._cell_of_block), "blocks": SPACE.describe()}

    def distinct_size(self) -> int:
        """Every combination of answers is another network."""
        return self.size()

    def _answers(self, tokens: Tokens, group: int) -> Tokens:
        return tokens[len(ANSWERS) * group : len(ANSWERS) * (group + 1)]


@dataclass(frozen=True)
class Job:
    """A search of a space for a reward."""

    device: str
    controller: str
    space: str
    reward: str
    seed: int
    trials: int


Found = Sequence[tuple[Job, Row]]


def space_of(name: str) -> SearchSpace:
    """The space of that name."""
    return SPACE if name == "factorized" else CellSpace(name, CELLS[name])


def jobs(seeds: int | None) -> list[Job]:
    """Every search, seed after seed; PPO on the first device alone."""
    most = max(number for _, number in SEARCHES.values())
    return [
        Job(device, controller, space, reward, seed, trials)
        for seed in range(most if seeds is None else seeds)
        for controller, (trials, number) in SEARCHES.items()
        for device, space, reward in itertools.product(DEVICES, SPACES, REWARDS)
        if seed < (number if seeds is None else seeds) and (controller, device) != ("ppo", DEVICES[1])
    ]


def run(job: Job) -> dict[str, Any]:
    """The network that a search found."""
    oracle, space = Oracle(job.device), space_of(job.space)
    done = search(job.controller, space, objective(job.reward, oracle.target_ms), oracle, job.seed, job.trials)
    best = done.best
    return {
        "latency_ms": float(done.latencies[best]),
        "accuracy": float(done.accuracies[best]),
        "trees": float(oracle.second_opinion([done.architectures[best]])[0]),
        "distinct": done.distinct(),
        "found_at": best + 1,
        "found": word(SPACE.encode(done.architectures[best])),
    }


@cache
def every(device: str, space: str) -> tuple[Floats, Floats]:
    """Accuracies and latencies of all networks of a space of cells."""
    cells = space_of(space)
    tokens = itertools.product(*(range(len(choice.options)) for choice in cells.choices))
    return Oracle(device)(cells.decode(answers) for answers in tokens)


def optimum(device: str, space: str, reward: str) -> tuple[float, float] | None:
    """(accuracy, latency) of the best network: of all networks, or the best known. None where none is known."""
    oracle = Oracle(device)
    if space == "factorized":
        known = oracle.best_known.get(reward)
        return (known["accuracy"], known["latency_ms"]) if known else None
    accuracies, latencies = every(device, space)
    goal = objective(reward, oracle.target_ms)
    rewards = [goal.score(*pair) for pair in zip(accuracies, latencies, strict=True)]
    best = int(np.argmax(rewards))
    return float(accuracies[best]), float(latencies[best])


def tables(found: Found) -> str:
    """The found networks, and what the spaces hold at all."""
    heads = ["device", "controller", "reward", "space", "different networks tried", "latency in ms", "latency / T"]
    heads += ["accuracy in %", "by trees", "best of the space: ms, %"]
    lines = []
    for device, controller, reward, space in itertools.product(DEVICES, SEARCHES, REWARDS, SPACES):
        rows = _where(found, device, controller, reward, space)
        if rows:
            target = Oracle(device).target_ms
            trials = next(job.trials for job, _ in found if job.controller == controller)
            tried = f"{np.median([int(row['distinct']) for row in rows]):,.0f} in {trials:,} trials"
            cells = [spread((float(row["latency_ms"]) for row in rows), ".3g")]
            cells += [spread(float(row["latency_ms"]) / target for row in rows)]
            cells += [spread(100 * float(row[name]) for row in rows) for name in ("accuracy", "trees")]
            best = optimum(device, space, reward)
            cells += [f"{best[1]:.3g}, {100 * best[0]:.2f}" if best else "-"]
            lines.append(
                [device, f"`{controller}`", _title(reward), f"{space} ({space_of(space).size():,})", tried, *cells]
            )
    return markdown(heads, lines)


def _title(reward: str) -> str:
    return {"accuracy": "accuracy alone", "soft": "soft", "hard": "hard"}[reward]


def summary(found: Found) -> dict[str, Any]:
    """[latency in ms, accuracy in %], medians over seeds."""
    return {
        f"{device} {controller} {reward} {space}": [
            round(float(np.median([factor * float(row[name]) for row in rows])), 3)
            for name, factor in (("latency_ms", 1), ("accuracy", 100))
        ]
        for device, controller, reward, space in itertools.product(DEVICES, SEARCHES, REWARDS, SPACES)
        if (rows := _where(found, device, controller, reward, space))
    }


def plot(found: Found) -> Figure:
    """Where the found networks lie, a panel per device; what the spaces of cells hold, as small dots."""
    places = [
        (device, controller) for device, controller in (("zcu102", "ppo"), ("zcu102", "guided"), ("a100", "guided"))
    ]
    figure, axes = plt.subplots(1, len(places), figsize=(13.5, 5.2), layout="constrained")
    for axis, (device, controller) in zip(axes, places, strict=True):
        _draw(axis, found, device, controller)
    handles = [Line2D([], [], color=COLORS[space], marker="o", linestyle="", label=space) for space in SPACES]
    handles += [
        Line2D(
            [],
            [],
            color="black",
            marker=MARKERS[r],
            linestyle="",
            mfc="none",
            ms=10 if r == "accuracy" else 6,
            label=_title(r),
        )
        for r in REWARDS
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle("Found networks, one per seed; small dots: every network of the spaces of cells")
    return figure


def _draw(axis: Axes, found: Found, device: str, controller: str) -> None:
    oracle = Oracle(device)
    for space, size in (("two-cells", 4), ("one-cell", 9)):
        accuracies, latencies = every(device, space)
        axis.scatter(latencies, 100 * accuracies, s=size, color=COLORS[space], alpha=0.45, linewidth=0)
    front = np.geomspace(oracle.percentile_ms(1) * 0.5, oracle.percentile_ms(100), 200)
    axis.plot(front, 100 * oracle.front_accuracy(front), color="black", linewidth=0.8)
    for space, reward in itertools.product(SPACES, REWARDS):
        rows = _where(found, device, controller, reward, space)
        axis.plot(
            [float(row["latency_ms"]) for row in rows],
            [100 * float(row["accuracy"]) for row in rows],
            linestyle="",
            marker=MARKERS[reward],
            ms=13 if reward == "accuracy" else 7.5,
            color=COLORS[space],
            markeredgecolor="black",
            markeredgewidth=0.7,
        )
    axis.axvline(oracle.target_ms, color="black", linewidth=0.7)
    axis.annotate(
        "T", (oracle.target_ms, 0.02), (3, 0), xycoords=("data", "axes fraction"), textcoords="offset points"
    )
    axis.set(xlabel="latency (ms)", ylabel="accuracy (%)", title=f"{device}, {controller}", ylim=(58, 69.5))


def _where(found: Found, device: str, controller: str, reward: str, space: str) -> list[Row]:
    wanted = (device, controller, reward, space)
    return [row for job, row in found if (job.device, job.controller, job.reward, job.space) == wanted]


EXPERIMENT = Experiment("spaces_and_rewards", jobs, run, tables, summary, plot)

if __name__ == "__main__":
    EXPERIMENT.main()
