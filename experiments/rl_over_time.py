"""The paper's controller over 8,000 trials, against random search (docs/experiments/rl_over_time.md).

python experiments/rl_over_time.py            # runs what results/rl_over_time.csv lacks
python experiments/rl_over_time.py --plot     # runs nothing: figure and table
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from _experiment import Experiment, Row, markdown, numbers, spread
from _oracle import SPACE, Oracle, objective, word
from _page import BLUE, GREY, ORANGE
from _search import search
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DEVICE = "zcu102"
SEARCHES = ("soft", "hard", "random")  # PPO with either reward; random networks
TRIALS, SEEDS = 8_000, 10  # "about 8K models" in the paper
WINDOW = 100  # trials over which means are taken
SHOWN = 20  # of so many trials one is drawn
STYLES = {"soft": (BLUE, "-"), "hard": (ORANGE, "-"), "random": (GREY, ":")}
LABELS = {"soft": "PPO, soft", "hard": "PPO, hard", "random": "random"}


@dataclass(frozen=True)
class Job:
    """A search by PPO with one of the rewards, or at random."""

    searched: str
    seed: int
    trials: int


Found = Sequence[tuple[Job, Row]]


def jobs(seeds: int | None) -> list[Job]:
    """Every search, seed after seed."""
    wanted = range(SEEDS if seeds is None else seeds)
    return [Job(searched, seed, TRIALS) for seed, searched in itertools.product(wanted, SEARCHES)]


def run(job: Job) -> dict[str, Any]:
    """Means of each hundred trials, best so far, different networks so far, and some of the trials."""
    oracle = Oracle(DEVICE)
    reward, controller = ("soft", "random") if job.searched == "random" else (job.searched, "ppo")
    goals = {name: objective(name, oracle.target_ms) for name in ("soft", "hard")}
    done = search(controller, SPACE, goals[reward], oracle, job.seed, job.trials)
    ends = range(WINDOW, job.trials + 1, WINDOW)
    values: dict[str, Any] = {}
    for name, goal in goals.items():
        rewards = np.array([goal.score(*pair) for pair in zip(done.accuracies, done.latencies, strict=True)])
        values[f"mean_{name}"] = _means(rewards)
        values[f"best_{name}"] = [float(rewards[:end].max()) for end in ends]
    best = done.best
    return {
        **values,
        "latency_ms": _means(done.latencies),
        "accuracy": _means(done.accuracies),
        "distinct": [done.distinct(end) for end in ends],
        "some_latencies": [round(float(ms), 3) for ms in done.latencies[::SHOWN]],
        "some_accuracies": [round(float(accuracy), 4) for accuracy in done.accuracies[::SHOWN]],
        "found": word(done.tokens[best]),
        "found_at": best + 1,
        "found_latency_ms": float(done.latencies[best]),
        "found_accuracy": float(done.accuracies[best]),
        "found_trees": float(oracle.second_opinion([done.architectures[best]])[0]),
    }


def _means(values: Any) -> Any:
    """Of each hundred trials."""
    whole = len(values) // WINDOW * WINDOW
    return [float(mean) for mean in np.reshape(values[:whole], (-1, WINDOW)).mean(axis=1)]


def tables(found: Found) -> str:
    """What was reached when, by the reward that was searched; random search by both."""
    return "\n\n".join((_over_time(found), _winners(found)))


def _over_time(found: Found) -> str:
    trials = next(job.trials for job, _ in found)
    marks = [mark for mark in (100, 300, 1_000, 2_000, 4_000, 8_000) if mark <= trials]
    heads = ["searched", "what", *(f"@{mark:,}" for mark in marks)]
    lines = []
    for searched in SEARCHES:
        rows = _where(found, searched)
        scored = ("soft", "hard") if searched == "random" else (searched,)
        columns = [
            (f"{what}_{goal}", f"{goal} reward x 100, {title}", 100.0, ".2f")
            for goal in scored
            for what, title in (("mean", "mean of the latest 100"), ("best", "best so far"))
        ]
        columns += [("latency_ms", "mean latency, ms", 1, ".2f"), ("accuracy", "mean accuracy, %", 100.0, ".2f")]
        columns += [("distinct", "different networks", 1, ",.0f")]
        for column, title, factor, form in columns if rows else ():
            values = factor * np.array([numbers(row[column]) for row in rows])  # (seeds, hundreds of trials)
            cells = [spread(values[:, mark // WINDOW - 1], form) for mark in marks]
            lines.append([LABELS[searched], title, *cells])
    return markdown(heads, lines)


def _winners(found: Found) -> str:
    oracle = Oracle(DEVICE)
    heads = [
        "searched",
        "best known reward x 100",
        "reached",
        "after trials",
        "latency / T",
        "accuracy in %",
        "by trees",
    ]
    lines = []
    for searched in ("soft", "hard"):
        rows = _where(found, searched)
        if rows:
            reached = [100 * numbers(row[f"best_{searched}"])[-1] for row in rows]
            cells = [f"{100 * oracle.best_known[searched]['reward']:.2f}", spread(reached)]
            cells += [spread((float(row["found_at"]) for row in rows), ",.0f")]
            cells += [spread(float(row["found_latency_ms"]) / oracle.target_ms for row in rows)]
            cells += [spread(100 * float(row[name]) for row in rows) for name in ("found_accuracy", "found_trees")]
            lines.append([LABELS[searched], *cells])
    return markdown(heads, lines)


def summary(found: Found) -> dict[str, Any]:
    """Medians over seeds, at the end."""
    result: dict[str, Any] = {}
    for searched in SEARCHES:
        rows = _where(found, searched)
        for column in ("mean_soft", "best_soft", "mean_hard", "best_hard", "latency_ms", "distinct") if rows else ():
            result[f"{searched} {column}"] = round(float(np.median([numbers(r[column])[-1] for r in rows])), 4)
    return result


def plot(found: Found) -> Figure:
    """Rewards, latency and accuracy of what is sampled, how many networks differ; one seed's samples."""
    figure, axes = plt.subplots(2, 4, figsize=(15, 6.8), layout="constrained")
    for column, goal in enumerate(("soft", "hard")):
        axis = axes[0, column]
        for searched in (goal, "random"):
            _draw(axis, found, searched, f"mean_{goal}", 100.0, LABELS[searched])
            _draw(axis, found, searched, f"best_{goal}", 100.0, None, is_best=True)
        known = 100 * Oracle(DEVICE).best_known[goal]["reward"]
        axis.axhline(known, color="black", linewidth=0.7)
        axis.annotate("best known", (1, known), (-2, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
        axis.set(title=f"{goal} reward x 100 (dashed: best so far)", ylim=(None, known + 1.5))
    panels = (("latency_ms", 1.0, "mean latency (ms)"), ("accuracy", 100.0, "mean accuracy (%)"))
    places = (axes[0, 2], axes[0, 3], axes[1, 0])
    for axis, (column_name, factor, title) in zip(
        places, (*panels, ("distinct", 1.0, "different networks so far")), strict=True
    ):
        for searched in SEARCHES:
            _draw(axis, found, searched, column_name, factor, LABELS[searched])
        axis.set_title(title)
    axes[0, 2].axhline(Oracle(DEVICE).target_ms, color="black", linewidth=0.7)
    axes[0, 2].annotate("T", (1, Oracle(DEVICE).target_ms), (-4, 3), xycoords=("axes fraction", "data"),
                        textcoords="offset points", ha="right")  # fmt: skip
    for axis in (*places, axes[0, 0], axes[0, 1]):
        axis.set_xlabel("trials")
        axis.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
        axis.grid(alpha=0.25)
    axes[1, 0].yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    for axis in (axes[0, 0], axes[0, 1], axes[0, 3]):
        axis.legend(frameon=False, fontsize=8, loc=(0.62, 0.45))
    for axis, searched in zip(axes[1, 1:], SEARCHES, strict=True):
        _draw_samples(figure, axis, found, searched)
    return figure


def _draw(
    axis: Axes, found: Found, searched: str, column: str, factor: float, label: str | None, is_best: bool = False
) -> None:
    """The median of the seeds, and from the least to the most."""
    rows = _where(found, searched)
    if rows:
        values = factor * np.array([numbers(row[column]) for row in rows])
        trials = WINDOW * np.arange(1, values.shape[1] + 1)
        color, line = STYLES[searched]
        line = "--" if is_best else line
        axis.plot(trials, np.median(values, axis=0), color=color, linestyle=line, linewidth=1.3, label=label)
        axis.fill_between(trials, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)


def _draw_samples(figure: Figure, axis: Axes, found: Found, searched: str) -> None:
    """Some networks of the first seed, the later the darker."""
    row = _where(found, searched)[0]
    latencies, accuracies = numbers(row["some_latencies"]), 100 * np.array(numbers(row["some_accuracies"]))
    trials = SHOWN * np.arange(len(latencies)) + 1
    dots = axis.scatter(latencies, accuracies, c=trials, cmap="viridis_r", s=6)
    oracle = Oracle(DEVICE)
    front = np.geomspace(1.5, 25, 100)
    axis.plot(front, 100 * oracle.front_accuracy(front), color="black", linewidth=0.8)
    axis.axvline(oracle.target_ms, color="black", linewidth=0.7)
    axis.set(title=f"{LABELS[searched]}: what it tries (seed 0)", xlabel="latency (ms)", ylabel="accuracy (%)")
    axis.set(xlim=(1, 25), ylim=(54, 69.5))
    if searched == SEARCHES[-1]:
        figure.colorbar(dots, ax=axis, label="trial", format=mpl.ticker.StrMethodFormatter("{x:,.0f}"))


def _where(found: Found, searched: str) -> list[Row]:
    return [row for job, row in found if job.searched == searched]


EXPERIMENT = Experiment("rl_over_time", jobs, run, tables, summary, plot)

if __name__ == "__main__":
    EXPERIMENT.main()
