"""Makes the figures of the documentation again: `python docs/figures.py [NAME ...]`.

ppo_learns     docs/images/ppo_learns.png, five minutes of one core
ppo_settings   prints the table of PPO's settings in docs/controllers.md, ten minutes of one core
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from mnas.accuracy import SimulatedAccuracy
from mnas.controllers import PPO, Controller, RandomSearch, RegularizedEvolution, Reinforce
from mnas.devices import SimulatedDevice
from mnas.objective import Measurement, WeightedProduct
from mnas.space import Tokens, mnasnet_space
from mnas.trial import Trial, TrialState

IMAGES = Path(__file__).parent / "images"
TARGET_MS = 22.0  # about the median latency of mnasnet on the simulated device
TRIALS = 4_000
SEEDS = range(5)
WINDOW = 100  # trials over which rewards are averaged

SPACE = mnasnet_space()
OBJECTIVES = {"soft": WeightedProduct.soft(TARGET_MS), "hard": WeightedProduct.hard(TARGET_MS)}
CONTROLLERS: dict[str, Callable[..., Controller]] = {
    "ppo": PPO,
    "reinforce": Reinforce,
    "evolution": RegularizedEvolution,
    "random": RandomSearch,
}
# Okabe and Ito's colours, which most people can tell apart, and line styles besides.
STYLES: dict[str, dict[str, Any]] = {
    "ppo": {"color": "#0072B2", "linestyle": "-", "linewidth": 2.0},
    "reinforce": {"color": "#D55E00", "linestyle": "--", "linewidth": 1.6},
    "evolution": {"color": "#009E73", "linestyle": "-.", "linewidth": 1.6},
    "random": {"color": "#555555", "linestyle": ":", "linewidth": 1.8},
}


@cache
def measured(tokens: Tokens) -> tuple[float, float]:
    """Latency (ms) and accuracy of the simulated device and accuracy."""
    architecture = SPACE.decode(tokens)
    latency = SimulatedDevice().measure(architecture).latency_ms
    return latency, SimulatedAccuracy().estimate(architecture, seed=0).accuracy


def rewards_of_search(job: tuple[str, dict[str, Any], str, int]) -> list[float]:
    """The reward of each trial of one search: (controller, its settings, objective, seed)."""
    name, settings, objective, seed = job
    controller = CONTROLLERS[name](SPACE, seed, **settings)
    architecture = SPACE.decode((0,) * len(SPACE.choices))  # controllers do not look at it
    rewards: list[float] = []
    measured.cache_clear()
    while len(rewards) < TRIALS:
        trials: list[Trial] = []
        for tokens in controller.ask(controller.batch):
            latency, accuracy = measured(tokens)
            reward = OBJECTIVES[objective].score(accuracy, latency)
            number = len(rewards) + len(trials)
            trials.append(Trial(number, tokens, architecture, TrialState.COMPLETE, reward, Measurement(1, 1, 4)))
        controller.tell(trials)
        rewards += [trial.reward for trial in trials]
    return rewards[:TRIALS]


def searches(jobs: Sequence[tuple[str, dict[str, Any], str, int]]) -> list[list[float]]:
    """The rewards of every job, in order, on all cores."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(rewards_of_search, jobs))


def ppo_learns() -> None:
    """Mean reward and best reward over trials, for each controller and both of the paper's rewards."""
    keys = list(itertools.product(OBJECTIVES, CONTROLLERS))
    results = searches([(name, {}, objective, seed) for objective, name in keys for seed in SEEDS])
    rewards = dict(zip(keys, np.array(results).reshape(len(keys), len(SEEDS), TRIALS), strict=True))
    plot_learning(rewards, IMAGES / "ppo_learns.png")


def plot_learning(rewards: dict[tuple[str, str], Any], path: Path) -> None:
    """`rewards`: (objective, controller) -> array (seeds, trials)."""
    mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(2, 2, figsize=(9.5, 7.2), sharex=True, layout="constrained")
    figure.suptitle(
        f"Controllers on the simulated device, space mnasnet, target {TARGET_MS:g} ms: "
        f"median and quartiles of {len(SEEDS)} seeds",
        fontsize=11,
    )
    for row, objective in zip(axes, OBJECTIVES, strict=True):
        exponents = f"({OBJECTIVES[objective].alpha:g}, {OBJECTIVES[objective].beta:g})"
        row[0].set_title(f"{objective} reward {exponents}: mean of the latest {WINDOW} trials", fontsize=10)
        row[1].set_title(f"{objective} reward {exponents}: best so far", fontsize=10)
        for name in CONTROLLERS:
            one = rewards[objective, name]
            draw_quartiles(row[0], WINDOW, moving_mean(one), name)
            draw_quartiles(row[1], 1, np.maximum.accumulate(one, axis=1), name)
        row[0].set_ylabel("reward (a fraction, no unit)")
        # The first trials of "best so far" would squeeze all that comes after.
        row[1].set_ylim(bottom=float(np.median(rewards[objective, "random"][:, :20].max(axis=1))) - 0.005)
        for axis in row:
            axis.grid(alpha=0.25)
    for axis in axes[1]:
        axis.set_xlabel("trials (number)")
        axis.set_xlim(0, TRIALS)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def moving_mean(rewards: Any) -> Any:
    """(seeds, trials) -> (seeds, trials - WINDOW + 1)."""
    return np.apply_along_axis(np.convolve, 1, rewards, np.ones(WINDOW) / WINDOW, mode="valid")


def draw_quartiles(axis: Axes, start: int, values: Any, name: str) -> None:
    """The median over seeds as a line, the quartiles as a band."""
    low, median, high = np.percentile(values, (25, 50, 75), axis=0)
    trials = np.arange(start, start + values.shape[1])
    axis.fill_between(trials, low, high, color=STYLES[name]["color"], alpha=0.18, linewidth=0)
    axis.plot(trials, median, label=name, **STYLES[name])


def ppo_settings() -> None:
    """Print what other settings of PPO do, as the rows of a Markdown table."""
    variants: list[dict[str, Any]] = [
        {},
        {"epochs": 1},
        {"epochs": 8},
        {"learning_rate": 1e-3},
        {"learning_rate": 3.5e-3},
        {"entropy_weight": 3e-4},
        {"entropy_weight": 1e-3},
        {"learning_rate": 1e-3, "entropy_weight": 3e-4},
        {"entropy_weight": 0.03},
    ]
    keys = list(itertools.product(range(len(variants)), OBJECTIVES))
    results = iter(searches([("ppo", variants[v], objective, seed) for v, objective in keys for seed in SEEDS]))
    for variant, objective in keys:
        runs = [next(results) for _ in SEEDS]
        words = ", ".join(f"`{name} = {value:g}`" for name, value in variants[variant].items()) or "the defaults"
        cells = [f"{statistics.median(max(run[:n]) for run in runs):.3f}" for n in (300, 1000, TRIALS)]
        late = statistics.median(statistics.mean(run[-WINDOW:]) for run in runs)
        print(f"| {words} | {objective} | {' | '.join(cells)} | {late:.3f} |", flush=True)


FIGURES = {"ppo_learns": ppo_learns, "ppo_settings": ppo_settings}


def main() -> None:
    """Make the figures that are named, or those that are files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", choices=[*FIGURES, []], help="which (default: ppo_learns)"
    )
    for name in parser.parse_args().names or ["ppo_learns"]:
        FIGURES[name]()


if __name__ == "__main__":
    main()
