"""Milliseconds for the Pareto front and the hypervolume of a run's trials, beside three other ways.

    python benchmarks/bench_pareto.py [--trials 8000]

Ours starts from `Trial` objects, as the report does. The others: Optuna's `best_trials` of a two-objective
study with the same points in memory; comparing all pairs in numpy; and the same points sorted in plain Python.
All must find the same front. Told is the median of several repeats.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import optuna

from mnas.accuracy import SimulatedAccuracy
from mnas.devices import SimulatedDevice
from mnas.objective import Measurement, WeightedProduct
from mnas.pareto import hypervolume, pareto_front
from mnas.space import mnasnet_space
from mnas.trial import Trial, TrialState

LIMIT_MS = 5.0
Point = tuple[float, float]


def simulated_trials(count: int) -> list[Trial]:
    """Random networks on the simulated device; one in ten is cached, one in twenty infeasible."""
    space, generator, objective = mnasnet_space(), random.Random(0), WeightedProduct.soft(20)
    device, accuracy = SimulatedDevice(), SimulatedAccuracy()
    trials = []
    for number in range(count):
        tokens = space.sample(generator)
        architecture = space.decode(tokens)
        estimate = accuracy.estimate(architecture, 0)
        measurement = Measurement(1, 1, 4, device.measure(architecture), estimate.accuracy, accuracy.task)
        state = TrialState.INFEASIBLE if generator.random() < 0.05 else TrialState.COMPLETE
        cached = generator.random() < 0.1
        trials.append(
            Trial(number, tokens, architecture, state, objective.reward(measurement), measurement, cached=cached)
        )
    return trials


def points_of(trials: Sequence[Trial]) -> list[Point]:
    return [(t.latency_ms or 0, t.accuracy or 0) for t in trials if t.state is TrialState.COMPLETE and not t.cached]


def milliseconds(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def all_pairs(points: list[Point]) -> list[Point]:
    latency, accuracy = np.array(points).T
    front = []
    for point in points:
        better = (latency <= point[0]) & (accuracy >= point[1]) & ((latency < point[0]) | (accuracy > point[1]))
        if not better.any():
            front.append(point)
    return sorted(front)


def by_sorting(points: list[Point]) -> list[Point]:
    front: list[Point] = []
    for latency, accuracy in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or accuracy > front[-1][1]:
            front.append((latency, accuracy))
    return front


def optuna_study(points: list[Point]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.add_trials([optuna.trial.create_trial(values=list(point)) for point in points])
    return study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8_000, help="how many (default: 8000)")
    count = parser.parse_args().trials
    trials = simulated_trials(count)
    points = points_of(trials)
    reference = (max(p[0] for p in points), 0.0)
    study = optuna_study(points)
    front = points_of(pareto_front(trials))
    assert front == all_pairs(points) == by_sorting(points)
    assert front == sorted((t.values[0], t.values[1]) for t in study.best_trials)

    results = {
        "ours: front and hypervolume": milliseconds(
            lambda: hypervolume(points_of(pareto_front(trials)), reference), 101
        ),
        "ours: front": milliseconds(lambda: pareto_front(trials), 101),
        "ours: hypervolume of all points": milliseconds(lambda: hypervolume(points, reference), 101),
        "sorted, plain Python: front": milliseconds(lambda: by_sorting(points), 101),
        "numpy, all pairs: front": milliseconds(lambda: all_pairs(points), 3),
        "optuna best_trials: front": milliseconds(lambda: study.best_trials, 3),
    }
    print(f"{count:,} trials, {len(points):,} points, {len(front)} on the front; ms")
    for name, ms in results.items():
        limit = f"  (at most {LIMIT_MS:g})" if name == "ours: front and hypervolume" else ""
        print(f"  {name:32}{ms:10.2f}{limit}")
    print(
        json.dumps(
            {
                "benchmark": "pareto",
                "unit": "ms",
                "trials": count,
                "results": {name: round(ms, 4) for name, ms in results.items()},
                "optuna": optuna.__version__,
                "python": platform.python_version(),
                "machine": platform.machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
