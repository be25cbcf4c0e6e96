"""How busy a search keeps 64 workers of a Ray cluster: asynchronous, and in batches of 64 beside it.

    python benchmarks/bench_scaleout.py [--scale 1.0] [--trials 3200] [--modes asynchronous synchronous]

A real Ray of four nodes with 16 logical CPUs each on this machine; a training sleeps, log-normally, 5 s on average
with a coefficient of variation of .5, by its seed. Utilization is the workers' busy seconds over 64 times the wall
time from the first proposal to the last trial, the tail included in which workers run out of trials. The workers were
begun before, by a job each: here they share two cores, and 64 of them take these a minute or more. `--scale` shortens
the sleeps, and makes what the driver takes larger beside them.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path

from ray_nodes import RayNodes  # before ray is imported

from mnas.accuracy import AccuracyEstimate
from mnas.controllers import RandomSearch
from mnas.devices import SimulatedDevice
from mnas.evaluator import Evaluator
from mnas.executors import RayExecutor
from mnas.loop import SearchLoop
from mnas.objective import WeightedProduct
from mnas.space import Architecture, mnasnet_space
from mnas.storage import RunStorage

WORKERS, NODES = 64, 4
MEAN_S, SIGMA, MU = 5.0, 0.4723807, 1.4978659  # of the logarithm: mean 5, coefficient of variation .5


@dataclass(frozen=True)
class Sleeping:
    """An accuracy that takes as long as its seed says."""

    scale: float
    task: str = "sleeps"

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        """Sleep; a number."""
        chance = random.Random(seed)
        time.sleep(self.scale * chance.lognormvariate(MU, SIGMA))
        return AccuracyEstimate(chance.random())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--trials", type=int, default=WORKERS * 50)
    parser.add_argument("--modes", nargs="+", default=["asynchronous", "synchronous"])
    arguments = parser.parse_args()
    with RayNodes(*[WORKERS // NODES] * NODES) as nodes:
        executor = RayExecutor(WORKERS, address=nodes.address)
        try:
            began = time.perf_counter()
            wait([executor.submit(time.sleep, 10.0) for _ in range(WORKERS)])
            print(f"{WORKERS} workers on {NODES} nodes began within {time.perf_counter() - began:.0f} s", flush=True)
            for mode in arguments.modes:
                row = _measured(executor, mode == "asynchronous", arguments.trials, arguments.scale)
                print(
                    json.dumps({"benchmark": "scaleout", "mode": mode, "scale": arguments.scale, **row}), flush=True
                )
        finally:
            executor.close()


def _measured(executor: RayExecutor, asynchronous: bool, trials: int, scale: float) -> dict[str, float]:
    space, device = mnasnet_space(), SimulatedDevice()
    objective, estimator = WeightedProduct.soft(target_ms=20.0), Sleeping(scale)
    with tempfile.TemporaryDirectory() as folder, RunStorage.create(Path(folder), {"seed": 0}) as storage:
        evaluator = Evaluator(space, objective, device, estimator, executor, storage, seed=0)
        controller = RandomSearch(space, seed=0, batch=WORKERS)
        began, cpu = time.perf_counter(), time.process_time()
        SearchLoop(controller, evaluator, storage, trials, asynchronous=asynchronous).run()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        found = list(evaluator.trials.values())
    busy = sum(trial.train_seconds for trial in found)
    failed = sum(trial.error is not None for trial in found)
    return {
        "trials": len(found),
        "failed": failed,
        "wall_s": round(wall, 1),
        "busy_s": round(busy, 1),
        "utilization": round(busy / (WORKERS * wall), 4),
        "driver_cpu_ms_per_trial": round(1e3 * cpu / len(found), 2),
    }


if __name__ == "__main__":
    main()
