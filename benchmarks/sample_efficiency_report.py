"""The tables and the figure of `sample_efficiency.py`, from the rows of its CSV."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from sample_efficiency_oracle import REWARDS, Oracle, best_known, from_word
from sample_efficiency_rivals import GOALS, RIVALS
from sample_efficiency_search import value_at

from mnas.pareto import hypervolume

Row = dict[str, str]
Curve = list[tuple[int, float]]

MARKS = (100, 130, 300, 1_000, 8_000)
OTHER = {"mlp": "trees", "trees": "mlp"}
PPO = ("ppo", "ppo-tuned")  # the better of them after 8,000 trials is what the others are to reach
TITLES = {
    "soft": "soft reward: regret in points",
    "hard": "hard reward: regret in points",
    "front": "front: hypervolume, best known = 1",
}
# Okabe and Ito's colours, which most people can tell apart; of one kind share a colour and differ in the line.
STYLES: dict[str, dict[str, Any]] = {
    "guided": {"color": "#D55E00", "linewidth": 2.6},
    "local": {"color": "#CC79A7", "linewidth": 1.6},
    "evolution": {"color": "#009E73", "linewidth": 1.6},
    "nsga2": {"color": "#56B4E9", "linewidth": 1.6},
    "pymoo-nsga2": {"color": "#56B4E9", "linestyle": "--", "linewidth": 1.4},
    "optuna-nsga2": {"color": "#56B4E9", "linestyle": ":", "linewidth": 1.6},
    "optuna-tpe": {"color": "#E69F00", "linewidth": 1.6},
    "ppo": {"color": "#0072B2", "linewidth": 2.0},
    "ppo-tuned": {"color": "#0072B2", "linestyle": "--", "linewidth": 1.4},
    "ppo-independent": {"color": "#0072B2", "linestyle": "-.", "linewidth": 1.4},
    "reinforce": {"color": "#0072B2", "linestyle": ":", "linewidth": 1.6},
    "random": {"color": "#555555", "linestyle": ":", "linewidth": 1.8},
}


def print_tables(rows: Sequence[Row]) -> None:
    """A Markdown table per oracle, noise, device and goal: medians, and quartiles in brackets."""
    found = {(row["oracle"], float(row["noise"]), row["device"]) for row in rows}
    settings = sorted(found, key=lambda one: (one[0] != "mlp", one[1], one[2] != "zcu102"))
    for (oracle, noise, device), goal in itertools.product(settings, GOALS):
        here = [row for row in rows if (row["oracle"], float(row["noise"]), row["device"]) == (oracle, noise, device)]
        chosen = [row for row in here if row["goal"] == goal]
        if chosen:
            print(f"\n### {device}, {TITLES[goal]}; oracle {oracle}, noise {noise:g} points\n")
            _print_table(chosen, goal, _level(here, goal))


def _print_table(rows: Sequence[Row], goal: str, level: float | None) -> None:
    marks = [mark for mark in MARKS if any(int(row["trials"]) >= mark for row in rows)]
    reach = [] if level is None else [f"reach {level:.3f}"]
    heads = ["controller", "seeds", *(f"@{mark:,}" for mark in marks), *reach, "distinct", "ms @300", "ms at the end"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    groups = [[row for row in rows if row["controller"] == name] for name in RIVALS]
    for group in sorted(filter(None, groups), key=lambda group: _order(group, goal)):
        curves = [curve_of(row) for row in group]
        most = min(int(row["trials"]) for row in group)
        cells = [_spread([value_at(curve, mark) for curve in curves]) if mark <= most else "-" for mark in marks]
        last = max(mark for mark in (100, 300, 1_000, 8_000) if mark <= most)
        trials = [] if level is None else [_trials_to(curves, goal, level)]
        distinct = f"{_median(group, f'distinct_{last}'):,.0f} of {last:,}"
        times = [f"{_median(group, f'ms_{mark}'):.2f}" for mark in (min(300, last), last)]
        print("| " + " | ".join([_name(group), str(len(group)), *cells, *trials, distinct, *times]) + " |")


def _name(group: Sequence[Row]) -> str:
    """With what it searched, where that is not the goal that it is scored by."""
    searched, goal = group[0]["searched"], group[0]["goal"]
    return f"`{group[0]['controller']}`" + (f" ({searched})" if searched != goal else "")


def _order(group: Sequence[Row], goal: str) -> list[float]:
    """The best after 300 trials first, of equal ones the best after 100."""
    medians = [float(np.median([value_at(curve_of(row), mark) for row in group])) for mark in (300, 100)]
    return [-value if goal == "front" else value for value in medians]


def _level(rows: Sequence[Row], goal: str) -> float | None:
    """What the better PPO with LSTM has after 8,000 trials, the median of its seeds."""
    ends = [
        [float(row["at_8000"]) for row in rows if (row["controller"], row["goal"]) == (name, goal) and row["at_8000"]]
        for name in PPO
    ]
    medians = [float(np.median(values)) for values in ends if values]
    return (max(medians) if goal == "front" else min(medians)) if medians else None


def _trials_to(curves: Sequence[Curve], goal: str, level: float) -> str:
    """The median over seeds of the trials to a level; never is more than any number."""
    sign = -1 if goal == "front" else 1
    firsts = [next((n for n, value in curve if sign * value <= sign * level), math.inf) for curve in curves]
    median = float(np.median(firsts)) if not any(map(math.isinf, firsts)) else sorted(firsts)[len(firsts) // 2]
    return f"{median:,.0f}" if math.isfinite(median) else "-"


def _median(rows: Iterable[Row], column: str) -> float:
    return float(np.median([float(row[column]) for row in rows]))


def _spread(values: Sequence[float]) -> str:
    low, median, high = np.percentile(values, (25, 50, 75))
    return f"{median:.3f} [{low:.3f}, {high:.3f}]"


def print_second_opinion(rows: Sequence[Row]) -> None:
    """Median regrets of the winners after 300 trials, by the surrogate that was searched and by the other one."""
    rows = [row for row in rows if row["winner_300"] and float(row["noise"]) == 0 and row["oracle"] == "mlp"]
    columns = sorted({(row["device"], row["goal"]) for row in rows}, key=lambda key: (key[0] != "zcu102", key[1]))
    print("\n### Winners after 300 trials: regret by mlp, which was searched / by trees\n")
    print(
        "| controller | " + " | ".join(" ".join(key) for key in columns) + " |\n" + "|---" * (len(columns) + 1) + "|"
    )
    for name in (name for name in RIVALS if any(row["controller"] == name for row in rows)):
        cells = []
        for device, goal in columns:
            chosen = [r for r in rows if (r["controller"], r["device"], r["goal"]) == (name, device, goal)]
            cells.append(_two_regrets(chosen, device, goal) if chosen else "-")
        print(f"| `{name}` | " + " | ".join(cells) + " |")


def _two_regrets(rows: Sequence[Row], device: str, goal: str) -> str:
    winners = np.array([from_word(row["winner_300"]) for row in rows])
    medians = []
    for model in OTHER:
        oracle, optimum = Oracle(device, model), best_known(device, model)[goal]["reward"]
        medians.append(float(np.median(100 * (optimum - oracle.rewards(goal, *oracle(winners))))))
    return " / ".join(f"{median:.2f}" for median in medians)


def curve_of(row: Row) -> Curve:
    """(trials, value) wherever it changes."""
    steps = (step.split(":") for step in row["curve"].split())
    return [(int(n), float(value)) for n, value in steps]


def print_disagreement(devices: Iterable[str]) -> None:
    """How much of the one surrogate's optimum the other grants."""
    print("\n### What the other surrogate says of an optimum\n")
    print("| device | goal | found by | says | the other says | the other's own optimum | regret there |")
    print("|---" * 7 + "|")
    for device, model, reward in itertools.product(devices, OTHER, REWARDS):
        found, own = best_known(device, model)[reward], best_known(device, OTHER[model])[reward]["reward"]
        oracle = Oracle(device, OTHER[model])
        says = float(oracle.rewards(reward, *oracle(np.array([from_word(found["tokens"])])))[0])
        cells = (f"{100 * found['reward']:.2f}", f"{100 * says:.2f}", f"{100 * own:.2f}", f"{100 * (own - says):.2f}")
        print(f"| {device} | {reward} | {model} | " + " | ".join(cells) + " |")
    for device, model in itertools.product(devices, OTHER):
        part = _front_elsewhere(device, model, OTHER[model])
        print(f"| {device} | front | {model} | 1 | {part:.4f} | 1 | {1 - part:.4f} |")


def _front_elsewhere(device: str, model: str, other: str) -> float:
    """Hypervolume of one surrogate's front under the other, as a part of the other's own; of 60 networks of it."""
    oracle, whole = Oracle(device, other), float(best_known(device, other)["front"]["hypervolume"])
    rows = np.array([from_word(word) for _, _, word in best_known(device, model)["front"]["some"]])
    accuracies, latencies = oracle(rows)
    return hypervolume(list(zip(latencies.tolist(), accuracies.tolist(), strict=True)), oracle.reference) / whole


def plot(rows: Sequence[Row], path: Path) -> None:
    """Medians over trials, a panel per device and goal: what is missing to the best known, the less the better."""
    rows = [row for row in rows if row["oracle"] == "mlp" and float(row["noise"]) == 0]
    devices = [device for device in ("zcu102", "a100") if any(row["device"] == device for row in rows)]
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    shape = (len(devices), len(GOALS))
    figure, axes = plt.subplots(*shape, figsize=(12, 3.9 * len(devices)), layout="constrained", squeeze=False)
    for (line, device), (column, goal) in itertools.product(enumerate(devices), enumerate(GOALS)):
        axis = axes[line, column]
        for name in RIVALS:
            chosen = [row for row in rows if (row["controller"], row["device"], row["goal"]) == (name, device, goal)]
            if chosen:
                _draw(axis, chosen, goal)
        _label(axis, device, goal)
    drawn = {label: line for axis in axes.flat for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    names = [name for name in STYLES if name in drawn]
    figure.legend([drawn[name] for name in names], names, loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle("Missing to the best known on the ImageNet surrogate: medians, for guided and ppo quartiles too")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw(axis: Axes, rows: Sequence[Row], goal: str) -> None:
    name, most = rows[0]["controller"], min(int(row["trials"]) for row in rows)
    trials = np.unique(np.geomspace(10, most, 200).round().astype(int))
    values = np.array([[value_at(curve, n) for n in trials] for curve in map(curve_of, rows)])
    missing = 100 * (1 - values) if goal == "front" else values
    low, median, high = np.percentile(np.maximum(missing, _floor(goal)), (25, 50, 75), axis=0)
    axis.plot(trials, median, label=name, **STYLES[name])
    if name in ("guided", "ppo"):
        axis.fill_between(trials, low, high, color=STYLES[name]["color"], alpha=0.15, linewidth=0)


def _floor(goal: str) -> float:
    """Where a logarithmic axis ends: what is less is drawn there."""
    return 0.3 if goal == "front" else 0.01


def _label(axis: Axes, device: str, goal: str) -> None:
    what = "hypervolume missing (%)" if goal == "front" else "regret (points of reward x 100)"
    axis.set(xscale="log", yscale="log", xlabel="trials", ylabel=what, title=f"{device}, {goal}")
    axis.set_ylim(bottom=_floor(goal) * 0.9)
    axis.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    axis.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    axis.grid(alpha=0.25)
