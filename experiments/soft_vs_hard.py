"""Soft against hard latency constraint (Tan et al. 2019, Fig. 3 and 6; docs/experiments/soft_vs_hard.md).

python experiments/soft_vs_hard.py            # runs what results/soft_vs_hard.csv lacks
python experiments/soft_vs_hard.py --plot     # runs nothing: figure and table
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from _experiment import Experiment, Row, markdown, numbers, spread
from _oracle import SPACE, Oracle, front_of, objective
from _page import BLUE, GREY, ORANGE
from _search import Searched, search
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DEVICES = ("zcu102", "a100")
SEARCHES = ("soft", "hard", "random")  # PPO with either reward; random networks
TRIALS, SEEDS = 3_000, 10  # 3,000 models for each type of reward, as in the paper's Fig. 6
LATE = 1_000  # the last of them, which a policy that has learnt proposes
EDGES = np.round(np.arange(0, 3.51, 0.05), 2)  # of the histogram: latency / target
NEAR, WELL = 0.1, 0.25  # within a tenth of the target; a quarter and more from it
LIMITS = (0.75, 1.0, 1.25)  # of latency / target: the best network within each
STYLES = {"soft": (BLUE, "-"), "hard": (ORANGE, "-"), "random": (GREY, ":")}


@dataclass(frozen=True)
class Job:
    """A search by PPO with one of the rewards, or at random."""

    device: str
    searched: str
    seed: int
    trials: int


Found = Sequence[tuple[Job, Row]]


def jobs(seeds: int | None) -> list[Job]:
    """Every search, seed after seed."""
    wanted = range(SEEDS if seeds is None else seeds)
    return [
        Job(device, searched, seed, TRIALS) for seed, device, searched in itertools.product(wanted, DEVICES, SEARCHES)
    ]


def run(job: Job) -> dict[str, Any]:
    """Where the latencies of all its networks lie, and the front that it leaves."""
    oracle = Oracle(job.device)
    reward, controller = ("soft", "random") if job.searched == "random" else (job.searched, "ppo")
    done = search(controller, SPACE, objective(reward, oracle.target_ms), oracle, job.seed, job.trials)
    relative = done.latencies / oracle.target_ms
    late = relative[-LATE:]
    front = front_of(done.latencies, done.accuracies)
    return {
        **_shares("", relative),
        **_shares("late_", late),
        "median": float(np.median(relative)),
        "late_median": float(np.median(late)),
        "distinct": done.distinct(),
        "hypervolume": oracle.hypervolume(done.latencies, done.accuracies),
        "best_within": [_best_within(done, limit * oracle.target_ms) for limit in LIMITS],
        "front": len(front),
        "histogram": np.histogram(relative, EDGES)[0],
        "late_histogram": np.histogram(late, EDGES)[0],
        "front_latencies": [round(latency, 4) for latency, _ in front],
        "front_accuracies": [round(accuracy, 5) for _, accuracy in front],
    }


def _shares(prefix: str, relative: Any) -> dict[str, float]:
    return {
        f"{prefix}well_below": float(np.mean(relative < 1 - WELL)),
        f"{prefix}near": float(np.mean(np.abs(relative - 1) <= NEAR)),
        f"{prefix}well_above": float(np.mean(relative > 1 + WELL)),
        f"{prefix}above": float(np.mean(relative > 1)),
    }


def _best_within(done: Searched, limit_ms: float) -> float:
    """The highest accuracy among the networks within a latency."""
    return float(np.max(done.accuracies, where=done.latencies <= limit_ms, initial=0.0))


def tables(found: Found) -> str:
    """Where the samples lie, and what fronts they leave."""
    return "\n\n".join((_samples(found), _fronts(found)))


def _samples(found: Found) -> str:
    heads = ["device", "searched", "seeds", "trials", "median latency / T", "below 0.75 T", "within 10 % of T"]
    heads += ["above T", "above 1.25 T"]
    lines = []
    for device, searched, (prefix, what) in itertools.product(
        DEVICES, SEARCHES, (("", "all"), ("late_", f"last {LATE:,}"))
    ):
        rows = _where(found, device, searched)
        if rows and (searched, prefix) != ("random", "late_"):
            shares = [
                spread((100 * float(row[f"{prefix}{share}"]) for row in rows), ".0f") + " %"
                for share in ("well_below", "near", "above", "well_above")
            ]
            median = spread(float(row[f"{prefix}median"]) for row in rows)
            lines.append([device, searched, str(len(rows)), what, median, *shares])
    return markdown(heads, lines)


def _fronts(found: Found) -> str:
    heads = ["device", "searched", "different networks", "hypervolume", "on the front"]
    heads += [f"best accuracy in % within {limit:g} T" for limit in LIMITS]
    lines = []
    for device, searched in itertools.product(DEVICES, SEARCHES):
        rows = _where(found, device, searched)
        if rows:
            best = np.array([numbers(row["best_within"]) for row in rows])
            cells = [f"{np.median([int(row['distinct']) for row in rows]):,.0f}"]
            cells += [spread((float(row["hypervolume"]) for row in rows), ".3f")]
            cells += [f"{np.median([int(row['front']) for row in rows]):.0f}"]
            lines.append([device, searched, *cells, *(spread(100 * column) for column in best.T)])
        oracle = Oracle(device)
        if rows and searched == SEARCHES[-1]:
            known = 100 * oracle.front_accuracy([limit * oracle.target_ms for limit in LIMITS])
            lines.append([device, "best known", "", "1", "", *(f"{accuracy:.2f}" for accuracy in known)])
    return markdown(heads, lines)


def summary(found: Found) -> dict[str, Any]:
    """Medians over seeds."""
    columns = ("late_median", "near", "well_below", "well_above", "hypervolume")
    return {
        f"{device} {searched}": {name: round(float(np.median([float(row[name]) for row in rows])), 4)
                                 for name in columns}
        for device, searched in itertools.product(DEVICES, SEARCHES)
        if (rows := _where(found, device, searched))
    }  # fmt: skip


def plot(found: Found) -> Figure:
    """Rewards over latency; per device the histogram of all samples and the fronts."""
    figure = plt.figure(figsize=(12, 7.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=(0.8, 1.1, 1.1))
    _draw_rewards(figure.add_subplot(grid[0, 0]))
    _draw_late(figure.add_subplot(grid[1, 0]), found)
    for row, device in enumerate(DEVICES):
        _draw_histogram(figure.add_subplot(grid[row, 1]), found, device)
        _draw_fronts(figure.add_subplot(grid[row, 2]), found, device)
    return figure


def _draw_rewards(axis: Axes) -> None:
    latencies = np.linspace(0.2, 2.5, 400)
    for reward in ("soft", "hard"):
        color, _ = STYLES[reward]
        values = [objective(reward, 1.0).score(0.5, float(latency)) for latency in latencies]
        axis.plot(latencies, values, color=color, label=f"{reward} {_exponents(reward)}")
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set(title="reward at an accuracy of 0.5", xlabel="latency / T", ylabel="reward", ylim=(0, 0.65))
    axis.legend(loc="lower left", framealpha=1, edgecolor="none")


def _exponents(reward: str) -> str:
    return {"soft": "(\N{MINUS SIGN}0.07, \N{MINUS SIGN}0.07)", "hard": "(0, \N{MINUS SIGN}1)"}[reward]


def _draw_late(axis: Axes, found: Found) -> None:
    """What the policy proposes at the end, on the first device."""
    device = DEVICES[0]
    _draw_steps(axis, found, device, "late_histogram", ("soft", "hard"))
    axis.set_title(f"{device}: the last {LATE:,} trials")


def _draw_histogram(axis: Axes, found: Found, device: str) -> None:
    _draw_steps(axis, found, device, "histogram", SEARCHES)
    axis.set_title(f"{device}: all trials")
    axis.legend(frameon=False)


def _draw_steps(axis: Axes, found: Found, device: str, column: str, searches: Sequence[str]) -> None:
    """Mean of the seeds' histograms, in per cent of the trials."""
    for searched in searches:
        rows = _where(found, device, searched)
        color, line = STYLES[searched]
        if rows:
            counts = np.mean([numbers(row[column]) for row in rows], axis=0)
            share = 100 * counts / counts.sum()
            label = "random" if searched == "random" else f"PPO, {searched}"
            axis.stairs(share, EDGES, color=color, linestyle=line, linewidth=1.3, label=label)
            if searched != "random":
                axis.stairs(share, EDGES, color=color, alpha=0.2, fill=True)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set(xlabel="latency / T", ylabel="share of the trials (%)", xlim=(0, 2.5))


def _draw_fronts(axis: Axes, found: Found, device: str) -> None:
    oracle = Oracle(device)
    latencies = np.geomspace(0.25, 2.5, 100)
    axis.plot(
        latencies,
        100 * oracle.front_accuracy(latencies * oracle.target_ms),
        color="black",
        lw=0.8,
        label="best known",
    )
    for searched in SEARCHES:
        color, line = STYLES[searched]
        for index, row in enumerate(_where(found, device, searched)):
            relative = np.array(numbers(row["front_latencies"])) / oracle.target_ms
            accuracies = 100 * np.array(numbers(row["front_accuracies"]))
            label = None if index else "random" if searched == "random" else f"PPO, {searched}"
            axis.step(relative, accuracies, color=color, linestyle=line, lw=0.9, alpha=0.8, where="post", label=label)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set(title=f"{device}: front of each seed", xlabel="latency / T", ylabel="accuracy (%)")
    axis.set(xlim=(0.2, 2.0), ylim=(60, 69.5))
    axis.legend(frameon=False, loc="lower right")


def _where(found: Found, device: str, searched: str) -> list[Row]:
    return [row for job, row in found if (job.device, job.searched) == (device, searched)]


EXPERIMENT = Experiment("soft_vs_hard", jobs, run, tables, summary, plot)

if __name__ == "__main__":
    EXPERIMENT.main()
