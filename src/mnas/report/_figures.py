"""The report's pictures, as matplotlib figures."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnas.result import Rated, SearchResult
from mnas.scores import Scores
from mnas.trial import Trial, TrialState

# Okabe and Ito's palette, told apart by colour-blind readers.
GREY, BLUE, ORANGE, GREEN, RED = "#8a8f98", "#0072b2", "#e69f00", "#009e73", "#d55e00"
_WIDE = (8.0, 4.8)
_LOW = (8.0, 2.8)
MOST_DRAWN_CLASSES = 30  # of a confusion matrix: more cannot be read on a page
_MOST_COUNTED_CLASSES = 12  # whose cells have room for a number


def front_figure(result: SearchResult, marked: Trial | None = None) -> Figure:
    """Accuracy over latency: all trials, the front marked, the target drawn, and one trial pointed out if given."""
    figure, axes = _figure(_WIDE)
    done = [t for t in result.trials if t.state is TrialState.COMPLETE and not t.cached]
    infeasible = [t for t in result.trials if t.state is TrialState.INFEASIBLE and t.latency_ms is not None]
    axes.scatter(*_points(done), s=16, color=GREY, alpha=0.6, linewidths=0, label=f"evaluated ({len(done)})")
    if infeasible:
        x, _ = _points(infeasible)
        axes.plot(x, [0.02] * len(x), "|", color=RED, transform=axes.get_xaxis_transform(), label="infeasible")
    _draw_front(axes, result.front)
    if result.target_ms:
        axes.axvline(result.target_ms, color=ORANGE, linestyle="--", label=f"target {result.target_ms:.3g} ms")
    if result.best is not None:
        axes.scatter(*_points([result.best]), marker="*", s=170, color=ORANGE, edgecolors="black", zorder=5,
                     label=f"best reward (trial {result.best.number})")  # fmt: skip
    if marked is not None:
        axes.scatter(*_points([marked]), marker="o", s=260, facecolors="none", edgecolors=GREEN, linewidths=2.5,
                     zorder=6, label=f"this model (trial {marked.number})")  # fmt: skip
    _draw_references(axes, [comparison.reference for comparison in result.comparisons])
    axes.set_xlabel(f"latency (ms), {_short(result.device)}")
    axes.set_ylabel(f"accuracy (%), {_short(_task(result))}")
    axes.set_title(f"{result.name}: {result.counts.trials} trials, {len(result.front)} on the Pareto front")
    axes.legend(loc="lower right", frameon=False)
    return figure


def curve_figure(curve: Sequence[float], measure: str = "accuracy") -> Figure:
    """Validation accuracy, or another measure, after each epoch of a training."""
    figure, axes = _figure(_LOW)
    axes.plot(range(1, len(curve) + 1), [100 * value for value in curve], "o-", color=BLUE, markersize=3)
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"validation {measure} (%)")
    return figure


def confusion_figure(scores: Scores) -> Figure:
    """The share of each class' images that was given each class."""
    counts = np.asarray(scores.confusion, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names, size = [_short(row.name, 24) for row in scores.classes], len(scores.classes)
    side = 3.2 + 0.28 * size
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    axes.pcolormesh(range(size), range(size), shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_aspect("equal")
    axes.invert_yaxis()  # the first class on top, as in a table
    axes.set_xticks(range(size), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(size), names, fontsize=8)
    axes.set_xlabel("given by the model (darker: a larger share of the true class)")
    axes.set_ylabel("true class")
    if size <= _MOST_COUNTED_CLASSES:
        for (row, column), share in np.ndenumerate(shares):
            color = "white" if share > 0.5 else "black"  # whichever can be read on the cell
            axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=7, color=color)
    return figure


def svg(figure: Figure) -> str:
    """A figure to be put into a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _draw_front(axes: Axes, front: Sequence[Trial]) -> None:
    if not front:
        return
    latencies, accuracies = _points(front)
    bars = [
        [t.measurement.latency.latency_ms - t.measurement.latency.low_ms for t in front if t.measurement.latency],
        [t.measurement.latency.high_ms - t.measurement.latency.latency_ms for t in front if t.measurement.latency],
    ]
    axes.step(latencies, accuracies, where="post", color=BLUE, linewidth=1.2, alpha=0.7)
    axes.errorbar(latencies, accuracies, xerr=bars, fmt="o", color=BLUE, markersize=6, capsize=2, elinewidth=1,
                  label=f"Pareto front ({len(front)})")  # fmt: skip


def _draw_references(axes: Axes, references: Sequence[Rated]) -> None:
    for reference in references:
        x, y = reference.latency.latency_ms, 100 * reference.accuracy
        bars = [[x - reference.latency.low_ms], [reference.latency.high_ms - x]]
        axes.errorbar([x], [y], xerr=bars, fmt="D", color=RED, markersize=6, capsize=2, elinewidth=1)
        axes.annotate(reference.label, (x, y), xytext=(6, -10), textcoords="offset points", fontsize=8, color=RED)


def _points(trials: Sequence[Trial]) -> tuple[list[float], list[float]]:
    return [t.latency_ms or 0.0 for t in trials], [100 * (t.accuracy or 0.0) for t in trials]


def _task(result: SearchResult) -> str:
    """What the accuracy is of, without its settings."""
    return result.task.partition(":")[0].partition(" (")[0]


def _short(words: str, most: int = 60) -> str:
    return words if len(words) <= most else f"{words[: most - 3]}..."
