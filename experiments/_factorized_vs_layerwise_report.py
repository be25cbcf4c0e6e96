"""The tables and the figure of `factorized_vs_layerwise.py`, from the rows of its CSV files."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from _page import BLUE, ORANGE, plain_style
from _small_fashion import factorized_space, layerwise_space
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from scipy.stats import ttest_ind

from mnas.devices import SimulatedDevice
from mnas.pareto import front_indices, hypervolume
from mnas.space import BlockSpace

REFERENCE = (0.20, 0.50)  # latency (ms) and accuracy from which hypervolumes are counted
COLORS = {"factorized": BLUE, "layerwise": ORANGE}
LINES = {"guided": "-", "ppo": "--"}
FIRST = 10  # trials that are random: before `guided` fits its first model


@dataclass(frozen=True)
class Tried:
    """A trial of a search."""

    space: str
    controller: str
    seed: int
    trial: int
    architecture: str
    latency_ms: float
    accuracy: float
    reward: float
    cached: int

    @classmethod
    def parse(cls, row: Mapping[str, str]) -> Tried:
        """From a row of the CSV."""
        whole: dict[str, Any] = {name: int(row[name]) for name in ("seed", "trial", "cached")}
        real: dict[str, Any] = {name: float(row[name]) for name in ("latency_ms", "accuracy", "reward")}
        return cls(
            space=row["space"], controller=row["controller"], architecture=row["architecture"], **whole, **real
        )


@dataclass(frozen=True)
class Final:
    """The best network of a search, trained long with another seed."""

    space: str
    controller: str
    seed: int
    architecture: str
    latency_ms: float
    proxy_accuracy: float
    epochs: int
    accuracy: float

    @classmethod
    def parse(cls, row: Mapping[str, str]) -> Final:
        """From a row of the CSV."""
        whole: dict[str, Any] = {name: int(row[name]) for name in ("seed", "epochs")}
        real: dict[str, Any] = {name: float(row[name]) for name in ("latency_ms", "proxy_accuracy", "accuracy")}
        return cls(
            space=row["space"], controller=row["controller"], architecture=row["architecture"], **whole, **real
        )


Value = Callable[[Sequence[Tried]], float]  # of the trials so far


@dataclass(frozen=True)
class Report:
    """What the searches came to."""

    tried: Sequence[Tried]
    finals: Sequence[Final]
    target_ms: float

    def groups(self) -> list[tuple[str, str]]:
        """(space, controller), in the order in which they are told."""
        found = {(row.space, row.controller) for row in self.tried}
        return [key for key in itertools.product(COLORS, LINES) if key in found]

    @property
    def controllers(self) -> list[str]:
        """That searched."""
        return sorted({controller for _, controller in self.groups()})

    @property
    def trials(self) -> int:
        """Of each search, of the shortest."""
        return min(len(rows) for key in self.groups() for rows in self.searches(*key))

    def searches(self, space: str, controller: str) -> list[list[Tried]]:
        """The trials of each seed, in order."""
        rows = [row for row in self.tried if (row.space, row.controller) == (space, controller)]
        seeds = sorted({row.seed for row in rows})
        return [sorted((r for r in rows if r.seed == seed), key=lambda r: r.trial) for seed in seeds]

    def curves(self, space: str, controller: str, value: Value) -> Any:
        """(seeds, trials): a value of the trials so far."""
        searches = self.searches(space, controller)
        length = min(map(len, searches))
        return np.array([[value(rows[: n + 1]) for n in range(length)] for rows in searches])


def best_reward(rows: Sequence[Tried]) -> float:
    """Of the trials so far."""
    return max(row.reward for row in rows)


def area(rows: Sequence[Tried]) -> float:
    """Hypervolume of the trials so far, as a share of the box between REFERENCE and (0 ms, accuracy 1)."""
    box = REFERENCE[0] * (1 - REFERENCE[1])
    return hypervolume([(row.latency_ms, row.accuracy) for row in rows], REFERENCE) / box


VALUES: dict[str, Value] = {"best reward": best_reward, "hypervolume": area}


def tables(report: Report) -> str:
    """Markdown: the two spaces, then what each search came to."""
    lines = [
        "| space | choices | combinations | distinct networks | ms of 90 % of random networks |",
        "|---" * 5 + "|",
    ]
    for name, space in (("factorized", factorized_space()), ("layerwise", layerwise_space())):
        low, high = latencies_of_random(space)
        sizes = f"{space.size():.1e} | {space.distinct_size():.1e}"
        lines.append(f"| {name} | {len(space.choices)} | {sizes} | {low:.3f} to {high:.3f} |")
    lines += [
        "",
        f"| space | controller | seeds | best reward | hypervolume | mean reward: first {FIRST} | last {FIRST} |",
        "|---" * 7 + "|",
    ]
    for key in report.groups():
        searches = report.searches(*key)
        cells = [
            _values([best_reward(rows) for rows in searches]),
            _values([area(rows) for rows in searches]),
            _values([fmean(row.reward for row in rows[:FIRST]) for rows in searches]),
            _values([fmean(row.reward for row in rows[-FIRST:]) for rows in searches]),
        ]
        lines.append(f"| {' | '.join(key)} | {len(searches)} | {' | '.join(cells)} |")
    lines += ["", *difference_rows(report), ""]
    if report.finals:
        lines += [
            "| best network of | ms | accuracy in the search | trained long, another seed | reward of that |",
            "|---" * 5 + "|",
        ]
        for final in sorted(report.finals, key=lambda f: (list(LINES).index(f.controller), f.seed, f.space)):
            reward = final.accuracy * (final.latency_ms / report.target_ms) ** -0.07
            lines.append(
                f"| {final.space}, {final.controller}, seed {final.seed} | {final.latency_ms:.3f} | "
                f"{100 * final.proxy_accuracy:.1f} | {100 * final.accuracy:.1f} | {reward:.3f} |"
            )
        lines.append("")
    return "\n".join(lines)


def latencies_of_random(space: BlockSpace, samples: int = 500) -> tuple[float, float]:
    """The 5th and 95th percentile of the simulated device's latency."""
    generator, device = random.Random(0), SimulatedDevice()
    found = [device.measure(space.decode(space.sample(generator))).latency_ms for _ in range(samples)]
    low, high = np.percentile(found, (5, 95))
    return float(low), float(high)


def _values(values: Sequence[float]) -> str:
    """The mean over seeds, and the range in brackets."""
    return f"{fmean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def difference(report: Report, controller: str, value: Value, trials: int) -> tuple[float, float, float] | None:
    """Factorized less layerwise after so many trials: mean over seeds and Welch's interval at 95 %."""
    groups = [
        [value(rows[:trials]) for rows in report.searches(space, controller)] for space in ("factorized", "layerwise")
    ]
    if min(map(len, groups)) < 2:
        return None
    interval = ttest_ind(*groups, equal_var=False).confidence_interval()
    return fmean(groups[0]) - fmean(groups[1]), float(interval.low), float(interval.high)


def difference_rows(report: Report) -> list[str]:
    """A Markdown table of the differences half way and at the end."""
    marks = (report.trials // 2, report.trials)
    heads = " | ".join(f"after {trials} trials [95 %]" for trials in marks)
    rows = [f"| factorized less layerwise | {heads} |", "|---|---|---|"]
    for controller, (name, value) in itertools.product(report.controllers, VALUES.items()):
        found = [difference(report, controller, value, trials) for trials in marks]
        cells = [f"{one[0]:+.3f} [{one[1]:+.3f}, {one[2]:+.3f}]" if one else "-" for one in found]
        rows.append(f"| {name}, {controller} | {' | '.join(cells)} |")
    return rows


def summary(report: Report) -> dict[str, Any]:
    """For the JSON line."""
    found = {}
    for controller in report.controllers:
        ends = {name: difference(report, controller, value, report.trials) for name, value in VALUES.items()}
        found[controller] = {
            name.replace(" ", "_"): dict(zip(("mean", "low", "high"), (round(x, 4) for x in end), strict=True))
            for name, end in ends.items()
            if end is not None
        }
    return {
        "experiment": "factorized_vs_layerwise",
        "trials": report.trials,
        "reference": REFERENCE,
        "factorized_less_layerwise": found,
    }


def plot(report: Report) -> Figure:
    """Best reward and hypervolume over trials, and the fronts."""
    plain_style()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 4.3), layout="constrained")
    for axis, value, title in ((left, best_reward, "Best reward so far"), (middle, area, "Hypervolume so far")):
        curves = {key: report.curves(*key, value) for key in report.groups()}
        for key in curves:
            _draw_seeds(axis, curves[key], *key)
        # The first trials would squeeze all that comes after.
        axis.set_ylim(bottom=min(float(curve[:, : FIRST // 2].max(axis=1).min()) for curve in curves.values()) - 0.01)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("trials")
        axis.grid(alpha=0.25)
    left.set_ylabel("reward (a fraction, no unit)")
    middle.set_ylabel("hypervolume (a share of the box)")
    _draw_fronts(right, report)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _draw_seeds(axis: Axes, curves: Any, space: str, controller: str) -> None:
    """The mean of the seeds as a thick line, each as a thin one."""
    trials = np.arange(1, curves.shape[1] + 1)
    style: dict[str, Any] = {"color": COLORS[space], "linestyle": LINES[controller]}
    axis.plot(trials, curves.T, linewidth=0.8, alpha=0.45, **style)
    axis.plot(trials, curves.mean(axis=0), linewidth=2.4, label=f"{space}, {controller}", **style)


def _draw_fronts(axis: Axes, report: Report) -> None:
    """Every trial as a dot, the front of all seeds of a space as stairs."""
    for space, color in COLORS.items():
        rows = [row for row in report.tried if row.space == space]
        points = [(row.latency_ms, row.accuracy) for row in rows]
        front = [points[index] for index in front_indices(points)]
        latencies, accuracies = np.array(points).T
        axis.scatter(latencies, accuracies, s=9, color=color, alpha=0.3, linewidths=0)
        latencies, accuracies = np.array(front).T
        axis.step(latencies, accuracies, where="post", color=color, linewidth=1.8)
    axis.axvline(report.target_ms, color="#555555", linestyle=":", linewidth=1.2)
    axis.set_title("All trials and their fronts (dotted: the target)", fontsize=10)
    axis.xaxis.set_major_locator(MultipleLocator(0.05))
    axis.set_xlabel("latency, simulated device (ms)")
    axis.set_ylabel("accuracy of the proxy task (a fraction)")
    axis.set_ylim(bottom=float(np.percentile([row.accuracy for row in report.tried], 1)) - 0.01)
    axis.grid(alpha=0.25)
