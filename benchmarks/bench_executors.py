"""Trainings per hour on Ray beside local processes, with as many workers: what Ray costs.

    python benchmarks/bench_executors.py --workers 2 --rounds 5

Each round starts both executors anew, one after the other, and gives each the same trainings of random networks of
the quickstart's space on digits; who is first changes from round to round. Before the clock runs, each worker has
imported what it needs by a training of its own. Ray is one of this machine alone, begun for the round, and its own
processes count: they run beside the trainings.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from mnas.config import load_settings
from mnas.executors import Executor, ProcessExecutor, RayExecutor
from mnas.plan import plan_from

EMPTY = 200  # jobs that do nothing


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=16)
    options = parser.parse_args()
    plan = plan_from(load_settings("quickstart"))
    rng = random.Random(0)
    networks = [plan.space.decode(plan.space.sample(rng)) for _ in range(options.trainings)]
    makers: dict[str, Callable[[], Executor]] = {
        "processes": lambda: ProcessExecutor(options.workers),
        "ray": lambda: RayExecutor(options.workers),
    }
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in makers}
    for number in range(options.rounds):
        for name in sorted(makers, reverse=bool(number % 2)):
            rows[name].append(_round(makers[name], plan.estimator.estimate, networks))
            print(f"round {number + 1}, {name}: {rows[name][-1]['per_hour']:.0f} trainings per hour", flush=True)
    ratios = [ray["per_hour"] / own["per_hour"] for ray, own in zip(rows["ray"], rows["processes"], strict=True)]
    found = {name: {key: median(row[key] for row in rows[name]) for key in rows[name][0]} for name in rows}
    print(f"\n{'executor':10} {'trainings per hour':>18} {'start, s':>9} {'empty job, ms':>14}")
    for name, row in found.items():
        print(f"{name:10} {row['per_hour']:18.0f} {row['start_s']:9.1f} {row['empty_ms']:14.2f}")
    print(f"ray / processes: median {median(ratios):.3f}, rounds {min(ratios):.3f} to {max(ratios):.3f}")
    print(json.dumps({"benchmark": "executors", **vars(options), "medians": found, "ratios": ratios}))


def _round(make: Callable[[], Executor], estimate: Callable[..., Any], networks: list[Any]) -> dict[str, float]:
    began = time.perf_counter()
    executor = make()
    try:
        _finish(executor, estimate, [(network, 0) for network in networks[: executor.workers]])
        start_s = time.perf_counter() - began
        began = time.perf_counter()
        _finish(executor, estimate, [(network, 0) for network in networks])
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        _finish(executor, abs, [(1,)] * EMPTY)
        empty_s = time.perf_counter() - began
    finally:
        executor.close()
    return {"per_hour": 3600 * len(networks) / seconds, "start_s": start_s, "empty_ms": 1e3 * empty_s / EMPTY}


def _finish(executor: Executor, function: Callable[..., Any], jobs: list[tuple[Any, ...]]) -> None:
    for future in [executor.submit(function, *job) for job in jobs]:
        future.result()


if __name__ == "__main__":
    main()
