"""Trainings per hour on Ray beside local processes, with as many workers: what Ray costs.

    python benchmarks/bench_executors.py --workers 2 --rounds 15

Both executors have their workers from the start, and each worker has imported what it needs. They take turns: in each
round either trains the same random networks of the quickstart's space on digits, and who is first changes from round
to round, so that whatever else the machine does meets both. Ray is one of this machine alone. Its own processes run
all the time, so that what they cost falls on both; it is measured apart, as the share of one core that they take.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from mnas.config import load_settings
from mnas.executors import Executor, ProcessExecutor, RayExecutor
from mnas.plan import plan_from

EMPTY = 200  # jobs that do nothing
IDLE_S = 20.0  # in which Ray's own processes are looked at


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--trainings", type=int, default=8, help="of a round, for each executor")
    options = parser.parse_args()
    plan = plan_from(load_settings("quickstart"))
    rng = random.Random(0)
    networks = [plan.space.decode(plan.space.sample(rng)) for _ in range(options.trainings)]
    executors: dict[str, Executor] = {
        "ray": RayExecutor(options.workers),
        "processes": ProcessExecutor(options.workers),
    }
    try:
        found = _compare(executors, plan.estimator.estimate, [(network, 0) for network in networks], options.rounds)
        found["idle_percent_of_a_core"] = _idle_percent()
    finally:
        for executor in executors.values():
            executor.close()
    _show(found)
    print(json.dumps({"benchmark": "executors", **vars(options), **found}))


def _compare(
    executors: dict[str, Executor], estimate: Callable[..., Any], jobs: list[tuple[Any, ...]], rounds: int
) -> dict[str, Any]:
    for executor in executors.values():
        _seconds(executor, estimate, jobs)
    seconds: dict[str, list[float]] = {name: [] for name in executors}
    empty_ms: dict[str, list[float]] = {name: [] for name in executors}
    for number in range(rounds):
        for name in sorted(executors, reverse=bool(number % 2)):
            seconds[name].append(_seconds(executors[name], estimate, jobs))
            empty_ms[name].append(1e3 * _seconds(executors[name], abs, [(1,)] * EMPTY) / EMPTY)
    return {
        "per_hour": {name: 3600 * len(jobs) / median(all_s) for name, all_s in seconds.items()},
        "empty_ms": {name: median(all_ms) for name, all_ms in empty_ms.items()},
        "ratios": [own / ray for own, ray in zip(seconds["processes"], seconds["ray"], strict=True)],
    }


def _seconds(executor: Executor, function: Callable[..., Any], jobs: list[tuple[Any, ...]]) -> float:
    began = time.perf_counter()
    for future in [executor.submit(function, *job) for job in jobs]:
        future.result()
    return time.perf_counter() - began


def _idle_percent() -> float:
    """What all processes of this benchmark take of a core while nothing is trained: next to all of it is Ray's."""
    before = _cpu_seconds()
    time.sleep(IDLE_S)
    return 100 * (_cpu_seconds() - before) / IDLE_S


def _cpu_seconds() -> float:
    """Of this process and all that it has started and that live."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        used[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    waiting, total = [os.getpid()], 0.0
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0.0)
        waiting += children.get(pid, [])
    return total


def _show(found: dict[str, Any]) -> None:
    print(f"{'executor':10} {'trainings per hour':>18} {'empty job, ms':>14}")
    for name, per_hour in found["per_hour"].items():
        print(f"{name:10} {per_hour:18.0f} {found['empty_ms'][name]:14.2f}")
    ratios = sorted(found["ratios"])
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    print(f"ray / processes: median of the rounds {median(ratios):.3f}, the middle half {low:.3f} to {high:.3f}")
    print(f"Ray's own processes: {found['idle_percent_of_a_core']:.1f} % of one core")


if __name__ == "__main__":
    main()
