"""What the target latency does to each reward, and whether one search hits it (docs/experiments/target_latency.md).

    python experiments/target_latency.py            # runs what results/target_latency.csv lacks
    python experiments/target_latency.py --plot     # runs nothing: figure and table

With alpha = beta the target only rescales Eq. 2 of Tan et al. 2019; TuNAS' absolute reward and the hard one feel it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from _experiment import Experiment, Row, markdown
from _oracle import SPACE, Oracle, objective, word
from _page import BLUE, GREEN, ORANGE, PINK, SKY
from _search import search
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PERCENTILES = (10, 30, 50, 70, 90)  # of the space's latencies: the targets
REWARDS = ("soft", "hard", "absolute -0.1", "absolute -0.03", "absolute -0.5")
CLOSE = 0.05  # of the target
# (device, controller): trials, seeds and rewards. What costs most is asked least.
SEARCHES = {
    ("zcu102", "guided"): (150, 10, REWARDS),
    ("a100", "guided"): (150, 10, REWARDS),
    ("zcu102", "ppo"): (3_000, 3, REWARDS[:3]),
    ("zcu102", "evolution"): (1_000, 3, REWARDS[:3]),
}
STYLES = {
    "soft": (BLUE, "o"),
    "hard": (ORANGE, "s"),
    "absolute -0.03": (SKY, "v"),
    "absolute -0.1": (GREEN, "^"),
    "absolute -0.5": (PINK, "D"),
}


@dataclass(frozen=True)
class Job:
    """A search for a target."""

    device: str
    controller: str
    reward: str
    percentile: int  # of the space's latencies: the target
    seed: int
    trials: int


Found = Sequence[tuple[Job, Row]]


def jobs(seeds: int | None) -> list[Job]:
    """Every search, seed after seed."""
    most = max(number for _, number, _ in SEARCHES.values())
    return [
        Job(device, controller, reward, percentile, seed, trials)
        for seed in range(most if seeds is None else seeds)
        for (device, controller), (trials, number, rewards) in SEARCHES.items()
        for reward, percentile in itertools.product(rewards, PERCENTILES)
        if seed < (number if seeds is None else seeds)
    ]


def run(job: Job) -> dict[str, Any]:
    """The network that a search found, and what names the search's trials."""
    oracle = Oracle(job.device)
    target = oracle.percentile_ms(job.percentile)
    done = search(job.controller, SPACE, objective(job.reward, target), oracle, job.seed, job.trials)
    best = done.best
    return {
        "target_ms": target,
        "latency_ms": float(done.latencies[best]),
        "accuracy": float(done.accuracies[best]),
        "trees": float(oracle.second_opinion([done.architectures[best]])[0]),
        "below_front": float(oracle.front_accuracy(done.latencies[best]) - done.accuracies[best]),
        "found": word(done.tokens[best]),
        "all_trials": done.digest,
    }


def tables(found: Found) -> str:
    """Deviations from the target, accuracies, and which searches are the same."""
    return "\n\n".join((_deviations(found), _same(found), _slopes()))


def _deviations(found: Found) -> str:
    heads = ["device", "controller", "reward", "trials", "seeds", "deviation in %, median", "worst", "within 5 %"]
    heads += ["median latency / target, 10th to 90th percentile", "accuracy in %", "below the best known, points"]
    lines = []
    for (device, controller), reward in itertools.product(SEARCHES, REWARDS):
        here = _where(found, device, controller, reward)
        if here:
            off = np.array([_deviation(row) for _, row in here])
            worst = off[np.abs(off).argmax()]
            per_target = [_of_target(here, percentile) for percentile in PERCENTILES]
            ratios = [np.median([1 + _deviation(row) for row in rows]) for rows in per_target]
            accuracies = [np.median([100 * float(row["accuracy"]) for row in rows]) for rows in per_target]
            behind = float(np.median([100 * float(row["below_front"]) for _, row in here]))
            cells = [device, f"`{controller}`", reward.replace("-", "\N{MINUS SIGN}"), f"{here[0][0].trials:,}"]
            cells += [str(len({job.seed for job, _ in here})), f"{100 * np.median(np.abs(off)):.1f}"]
            cells += [f"{100 * worst:+.1f}", f"{np.sum(np.abs(off) <= CLOSE)} of {len(off)}"]
            cells += [", ".join(f"{ratio:.2f}" for ratio in ratios)]
            cells += [", ".join(f"{accuracy:.1f}" for accuracy in accuracies), f"{behind:.2f}"]
            lines.append(cells)
    return markdown(heads, lines)


def _same(found: Found) -> str:
    """For the soft reward: is the search for five targets one search?"""
    heads = ["soft reward, five targets", "seeds", "all trials the same", "same network found"]
    lines = []
    for device, controller in SEARCHES:
        here = _where(found, device, controller, "soft")
        seeds = sorted({job.seed for job, _ in here})
        by_seed = [[row for job, row in here if job.seed == seed] for seed in seeds]
        trials = sum(len({row["all_trials"] for row in rows}) == 1 for rows in by_seed)
        networks = sum(len({row["found"] for row in rows}) == 1 for rows in by_seed)
        if here:
            cells = [f"{device}, `{controller}`", str(len(seeds))]
            lines.append([*cells, f"in {trials} of {len(seeds)}", f"in {networks} of {len(seeds)}"])
    return markdown(heads, lines)


def _slopes() -> str:
    """What one more per cent of latency is worth on the best known front: the beta that a sharp target needs."""
    heads = ["best known front", *(f"{percentile}th percentile" for percentile in PERCENTILES)]
    lines = []
    for device in dict.fromkeys(device for device, _ in SEARCHES):
        oracle = Oracle(device)
        targets = [oracle.percentile_ms(percentile) for percentile in PERCENTILES]
        slopes = [slope(oracle, target) for target in targets]
        lines.append([f"{device}: target in ms", *(f"{target:.3g}" for target in targets)])
        lines.append([f"{device}: least \N{MINUS SIGN}beta", *(f"{value:.3f}" for value in slopes)])
    return markdown(heads, lines)


def slope(oracle: Oracle, target_ms: float) -> float:
    """Accuracy per relative latency along the best known front, from the target to a tenth above it."""
    low, high = oracle.front_accuracy([target_ms, 1.1 * target_ms])
    return float((high - low) / math.log(1.1))


def summary(found: Found) -> dict[str, Any]:
    """Median of |deviation| in %, by device, controller and reward."""
    result = {}
    for (device, controller), reward in itertools.product(SEARCHES, REWARDS):
        off = [abs(_deviation(row)) for _, row in _where(found, device, controller, reward)]
        if off:
            result[f"{device} {controller} {reward}"] = round(100 * float(np.median(off)), 2)
    return {"median_deviation_percent": result}


def plot(found: Found) -> Figure:
    """How far the found latency is from the target, a panel per device and controller."""
    places = [place for place in SEARCHES if _where(found, *place, REWARDS[0])]
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 8.4), layout="constrained", squeeze=False)
    for axis, (device, controller) in zip(axes.flat, places, strict=False):
        _draw(axis, found, device, controller)
    for axis in axes.flat[len(places) :]:
        axis.set_axis_off()
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle(
        "Deviation of the found latency from five targets: the median of the seeds, and from the least to the most"
    )
    return figure


def _draw(axis: Axes, found: Found, device: str, controller: str) -> None:
    targets = np.array([Oracle(device).percentile_ms(percentile) for percentile in PERCENTILES])
    axis.axhspan(-100 * CLOSE, 100 * CLOSE, color="black", alpha=0.1, linewidth=0)
    axis.axhline(0, color="black", linewidth=0.8)
    for place, reward in enumerate(STYLES):
        here = _where(found, device, controller, reward)
        if not here:
            continue
        values = [[100 * _deviation(row) for row in _of_target(here, percentile)] for percentile in PERCENTILES]
        middle = np.array([np.median(one) for one in values])
        ends = np.array(
            [(median - min(one), max(one) - median) for median, one in zip(middle, values, strict=True)]
        ).T
        color, marker = STYLES[reward]
        label = reward.replace("-", "\N{MINUS SIGN}")
        shifted = targets * 1.02 ** (place - 2)  # side by side
        axis.errorbar(shifted, middle, ends, color=color, marker=marker, ms=5, linewidth=1.1, capsize=2, label=label)
    job = _where(found, device, controller, REWARDS[0])[0][0]
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=5, linscale=1.2)
    axis.set(ylim=(-110, 110), title=f"{device}, {controller}, {job.trials:,} trials")
    axis.set(xlabel="target latency (ms)", ylabel="deviation of the found latency (%)")
    axis.set_xticks(targets, [f"{target:.2g}" for target in targets])
    marks = (-100, -50, -20, -10, -5, -2, 0, 2, 5, 10, 20, 50, 100)
    axis.set_yticks(marks, [f"{mark:+d}".replace("-", "\N{MINUS SIGN}") if mark else "0" for mark in marks])
    axis.minorticks_off()
    axis.grid(alpha=0.25)


def _where(found: Found, device: str, controller: str, reward: str) -> list[tuple[Job, Row]]:
    return [
        (job, row) for job, row in found if (job.device, job.controller, job.reward) == (device, controller, reward)
    ]


def _of_target(found: Iterable[tuple[Job, Row]], percentile: int) -> list[Row]:
    return [row for job, row in found if job.percentile == percentile]


def _deviation(row: Row) -> float:
    """Of the found latency from the target, as a part of it."""
    return float(row["latency_ms"]) / float(row["target_ms"]) - 1


EXPERIMENT = Experiment("target_latency", jobs, run, tables, summary, plot)

if __name__ == "__main__":
    EXPERIMENT.main()
