"""The tables and the figure of `proxy_ranking.py`, from the learning curves of its CSV."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from _kendall import Tau, Values, tau_interval
from _page import BLUE, GREEN, GREY, ORANGE, plain_style
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PROXY = 3  # epochs of the training that is called the proxy on the page
PREFIXES = (1, 2, 3, 5, 8, 12)  # epochs of the long trainings that are looked at
CHOSEN = 5  # of how many the best by the proxy are looked at

# (kind, epochs, seed) -> (networks, epochs); NaN where a network was not trained
Curves = Mapping[tuple[str, int, int], Any]


@dataclass(frozen=True)
class Row:
    """One line of the table: how two rankings of the networks agree."""

    name: str
    against: str
    epochs: int  # that the first of the two costs
    tau: Tau


class Report:
    """What the curves say."""

    def __init__(self, curves: Curves, latencies: Values) -> None:
        self.curves = curves
        self.latencies = latencies  # (networks,), ms
        self.long_epochs = max(epochs for kind, epochs, _ in curves if kind == "long")
        self.lengths = sorted({epochs for kind, epochs, _ in curves if kind == "short"})

    def ends(self, kind: str, epochs: int) -> list[Values]:
        """The last accuracies of every seed, each (networks,)."""
        return [curve[:, -1] for (k, e, _), curve in sorted(self.curves.items()) if (k, e) == (kind, epochs)]

    @property
    def long(self) -> list[Values]:
        """Accuracies after the long training, for each seed."""
        return self.ends("long", self.long_epochs)

    def prefixes(self, epoch: int) -> list[Values]:
        """Accuracies of the long trainings after so many epochs, for each seed."""
        found = sorted((key, curve) for key, curve in self.curves.items() if key[0] == "long")
        return [curve[:, epoch - 1] for _, curve in found]

    def rows(self) -> list[Row]:
        """Every comparison that the curves allow."""
        rows = []
        for epochs in self.lengths:
            pairs = list(itertools.product(self.ends("short", epochs), self.long))
            rows += _row(f"short training of {_epochs(epochs)}", "long training", epochs, pairs)
        for epochs in (epochs for epochs in self.lengths if len(self.ends("short", epochs)) > 1 < len(self.long)):
            pairs = [(_mean(self.ends("short", epochs)), _mean(self.long))]
            rows += _row(f"mean of seeds, short training of {_epochs(epochs)}", "mean of seeds, long", epochs, pairs)
        for epoch in (epoch for epoch in PREFIXES if epoch < self.long_epochs):
            others = [(a, b) for (i, a), (j, b) in _seed_pairs(self.prefixes(epoch), self.long) if i != j]
            rows += _row(f"long training after {_epochs(epoch)}", "long training, other seed", epoch, others)
        for epoch in (epoch for epoch in PREFIXES if epoch < self.long_epochs):
            own = list(zip(self.prefixes(epoch), self.long, strict=True))
            rows += _row(f"long training after {_epochs(epoch)}", "its own end", epoch, own)
        for epochs in self.lengths:
            pairs = list(itertools.combinations(self.ends("short", epochs), 2))
            rows += _row(f"short training of {_epochs(epochs)}", "the same, other seed", epochs, pairs)
        pairs = list(itertools.combinations(self.long, 2))
        return rows + _row("long training", "long training, other seed", self.long_epochs, pairs)

    def find(self, name: str, against: str) -> Tau | None:
        """The tau of one row, if there is such a row."""
        return next((row.tau for row in self.rows() if (row.name, row.against) == (name, against)), None)


def _epochs(count: int) -> str:
    return f"{count} epoch" + ("s" if count > 1 else "")


def _seed_pairs(ones: Sequence[Values], others: Sequence[Values]) -> Iterable[tuple[Any, Any]]:
    return itertools.product(enumerate(ones), enumerate(others))


def _row(name: str, against: str, epochs: int, pairs: Sequence[tuple[Values, Values]]) -> list[Row]:
    """One row, or none where fewer than three networks have both."""
    enough = [(a, b) for a, b in pairs if (~(np.isnan(a) | np.isnan(b))).sum() >= 3]
    return [Row(name, against, epochs, tau_interval(enough))] if enough else []


def tables(report: Report) -> str:
    """Markdown: accuracies, then Kendall's tau."""
    lines = ["| training | trainings | accuracy: median | lowest | highest | between seeds |", "|---" * 6 + "|"]
    for kind, epochs in [("short", epochs) for epochs in report.lengths] + [("long", report.long_epochs)]:
        ends = np.array(report.ends(kind, epochs))
        points = 100 * ends[~np.isnan(ends)]
        low, median, high = points.min(), np.median(points), points.max()
        noise = _between_seeds(ends)
        lines.append(
            f"| {kind}, {_epochs(epochs)} | {points.size} | {median:.1f} | {low:.1f} | {high:.1f} | "
            f"{'-' if noise is None else f'{100 * noise:.1f}'} |"
        )
    lines += ["", "| ranking by | against | networks | pairs of seeds | Kendall's tau [95 %] |", "|---" * 5 + "|"]
    lines += [
        f"| {row.name} | {row.against} | {row.tau.networks} | {row.tau.pairs} | {row.tau} |" for row in report.rows()
    ]
    return "\n".join([*lines, "", small_or_large(report), "", chosen_by_proxy(report), ""])


def small_or_large(report: Report) -> str:
    """In words: whether accuracies rise or fall with latency."""
    words = []
    for kind, epochs in [("short", epochs) for epochs in report.lengths] + [("long", report.long_epochs)]:
        tau = tau_interval([(ends, report.latencies) for ends in report.ends(kind, epochs)])
        words.append(f"{tau} after {_epochs(epochs)} ({kind})")
    return f"Kendall's tau of accuracy and latency: {', '.join(words)}."


def _between_seeds(ends: Any) -> float | None:
    """(seeds, networks) -> the standard deviation between seeds of one network, pooled over networks."""
    full = ends[:, ~np.isnan(ends).any(axis=0)]
    if len(full) < 2 or not full.size:
        return None
    return float(np.sqrt(full.var(axis=0, ddof=1).mean()))


def chosen_by_proxy(report: Report) -> str:
    """In words: what is lost by keeping the best few by one short training, as the paper's search does."""
    loss = losses(report)
    if not loss:
        return ""
    return (
        f"Points of accuracy after the long training below the best of {loss['networks']}: a random network "
        f"{loss['random']:.1f}, the best by one short training of {_epochs(PROXY)} {loss['best']:.1f}, "
        f"the best of its best {CHOSEN} {loss['kept']:.1f} (means over seeds)."
    )


def losses(report: Report) -> dict[str, float]:
    """Points of long accuracy below the best: of the proxy's best, of the best among its best few, of any."""
    shorts = report.ends("short", PROXY)
    if not shorts:
        return {}
    long = _mean(report.long)
    lost = 100 * (np.nanmax(long) - long)
    orders = [np.argsort(-np.where(np.isnan(short) | np.isnan(long), -np.inf, short)) for short in shorts]
    return {
        "networks": int((~np.isnan(long)).sum()),
        "kept": float(np.mean([np.nanmin(lost[order[:CHOSEN]]) for order in orders])),
        "best": float(np.mean([lost[order[0]] for order in orders])),
        "random": float(np.nanmean(lost)),
    }


def summary(report: Report) -> dict[str, Any]:
    """For the JSON line."""
    found = {
        "short_long": report.find(f"short training of {_epochs(PROXY)}", "long training"),
        "short_short": report.find(f"short training of {_epochs(PROXY)}", "the same, other seed"),
        "long_long": report.find("long training", "long training, other seed"),
    }
    taus = {
        name: {"tau": round(tau.tau, 3), "low": round(tau.low, 3), "high": round(tau.high, 3)}
        for name, tau in found.items()
        if tau is not None
    }
    return {"experiment": "proxy_ranking", "proxy_epochs": PROXY, "long_epochs": report.long_epochs, "kendall": taus}


def plot(report: Report) -> Figure:
    """Left: accuracies after short and long training. Right: tau over epochs."""
    plain_style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.6), layout="constrained")
    _draw_accuracies(left, report)
    _draw_taus(right, report)
    return figure


def _draw_accuracies(axis: Axes, report: Report) -> None:
    if not report.lengths:  # stopped before the first short training
        return
    epochs = PROXY if PROXY in report.lengths else report.lengths[0]
    short, long = (100 * np.array(ends) for ends in (report.ends("short", epochs), report.long))
    x, y = _mean(short), _mean(long)
    spans = [np.abs(np.stack([np.fmin.reduce(each), np.fmax.reduce(each)]) - _mean(each)) for each in (short, long)]
    axis.errorbar(x, y, xerr=spans[0], yerr=spans[1], fmt="o", color=BLUE, ecolor="#9DBFD6", elinewidth=0.9, ms=5)
    axis.set_xlabel(f"accuracy after {_epochs(epochs)}, short training (%)")
    axis.set_ylabel(f"accuracy after {_epochs(report.long_epochs)}, long training (%)")
    axis.set_title("A point is a network: mean of seeds, lines from lowest to highest", fontsize=10)
    axis.grid(alpha=0.25)


def _mean(ends: Any) -> Values:
    """Over seeds, of those that are there."""
    stacked = np.array(ends)
    weights = (~np.isnan(stacked)).sum(axis=0)
    return np.where(weights > 0, np.nansum(stacked, axis=0) / np.maximum(weights, 1), np.nan)


def _draw_taus(axis: Axes, report: Report) -> None:
    rows = report.rows()
    ceiling = next((row.tau for row in rows if row.name == "long training"), None)
    if ceiling is not None:
        axis.axhspan(ceiling.low, ceiling.high, color=GREY, alpha=0.13, linewidth=0)
        axis.axhline(ceiling.tau, color=GREY, linestyle=":", linewidth=1.8, label="long against long, other seed")
    _draw_line(
        axis, rows, "long training after", "its own end", GREEN, "--", "o", "long, up to there, against its own end"
    )
    other = "long training, other seed"
    _draw_line(axis, rows, "long training after", other, ORANGE, "-", "s", "the same against another seed's end")
    _draw_line(axis, rows, "short training", "long training", BLUE, "-", "D", "short, own schedule, against long")
    axis.set_xlabel("epochs trained")
    axis.set_ylabel("Kendall's tau")
    axis.set_xlim(0, report.long_epochs)
    axis.set_ylim(min(0.0, axis.get_ylim()[0]), 1)  # room for the legend
    axis.set_title("Agreement of rankings, with 95 % intervals", fontsize=10)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8.5, loc="lower right")


def _draw_line(
    axis: Axes, rows: Iterable[Row], name: str, against: str, color: str, style: str, marker: str, label: str
) -> None:
    chosen = [row for row in rows if row.name.startswith(name) and row.against == against]
    if chosen:
        x, tau = np.array([row.epochs for row in chosen]), np.array([row.tau.tau for row in chosen])
        spans = np.array([(row.tau.tau - row.tau.low, row.tau.high - row.tau.tau) for row in chosen]).T
        shift = {"s": 0.12, "o": -0.12}.get(marker, 0.0)  # so that intervals do not hide each other
        axis.errorbar(
            x + shift, tau, yerr=spans, color=color, linestyle=style, marker=marker, ms=5, elinewidth=1, label=label
        )
