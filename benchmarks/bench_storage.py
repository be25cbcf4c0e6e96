"""What it costs to commit a trial to disk, beside Optuna on SQLite in the same run.

    python benchmarks/bench_storage.py

A trial of ours is one row with its tokens, architecture, measurement, samples and curve, on disk (fsync)
when the call returns. Optuna stores 42 categorical parameters and a value of each trial.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path
from statistics import median

import optuna

from mnas.accuracy import SimulatedAccuracy
from mnas.devices import SimulatedDevice
from mnas.judging import counted
from mnas.objective import Measurement, WeightedProduct
from mnas.space import SearchSpace, mnasnet_space
from mnas.storage import RunStorage
from mnas.trial import Trial, TrialState

REPEATS = 5
OURS_TRIALS, OPTUNA_TRIALS = 400, 40


def main() -> None:
    """Measure and print."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = mnasnet_space()
    ours, optunas = [], []
    for repeat in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(_ours_ms(Path(folder), [_trial(space, number) for number in range(OURS_TRIALS)]))
            optunas.append(_optuna_ms(Path(folder), space, repeat))
    rows = {"mnas": median(ours), "optuna on SQLite": median(optunas)}
    print(f"{'storage':20} {'ms per trial':>12}")
    for name, ms in rows.items():
        print(f"{name:20} {ms:12.2f}")
    print(json.dumps({"benchmark": "storage", "repeats": REPEATS, "ms_per_trial": rows}))


def _ours_ms(folder: Path, trials: list[Trial]) -> float:
    with RunStorage.create(folder, {"seed": 0}) as storage:
        began = time.perf_counter()
        for trial in trials:
            storage.add_trial(trial)
        return 1e3 * (time.perf_counter() - began) / len(trials)


def _optuna_ms(folder: Path, space: SearchSpace, seed: int) -> float:
    sampler = optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study(storage=f"sqlite:///{folder}/optuna.sqlite", sampler=sampler)
    began = time.perf_counter()
    for _ in range(OPTUNA_TRIALS):
        trial = study.ask()
        for choice in space.choices:
            trial.suggest_categorical(choice.name, list(range(len(choice.options))))
        study.tell(trial, 0.5)
    return 1e3 * (time.perf_counter() - began) / OPTUNA_TRIALS


def _trial(space: SearchSpace, number: int) -> Trial:
    tokens = space.sample(random.Random(number))
    architecture = space.decode(tokens)
    counts = counted(architecture)
    estimate = SimulatedAccuracy().estimate(architecture, 0)
    latency = SimulatedDevice().measure(architecture)
    measurement = Measurement(
        counts.params, counts.madds, counts.weight_bytes, latency, estimate.accuracy, "simulated"
    )
    reward = WeightedProduct.soft(20.0).reward(measurement)
    return Trial(number, tokens, architecture, TrialState.COMPLETE, reward, measurement, curve=estimate.curve)


if __name__ == "__main__":
    main()
