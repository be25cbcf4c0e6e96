"""How near `mnas search imagenet` comes to what an exhaustive climb over the same predictors finds.

    python benchmarks/bench_imagenet.py [--seeds 5] [--trials 150]

On two devices of Accel-NASBench, where accuracy and latency both are predictions: how many times faster than each
reference, with both accuracy models agreeing that nothing is lost, the preset's search gets, and how many times
the best network does that steepest ascent with changes of one and two choices finds from 60 random starts, from
the reference, and from whatever the searches found.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sample_efficiency_oracle import SPACE, Rows, ascend, changed, random_rows, unique

from mnas.accuracy import SurrogateAccuracy
from mnas.config import load_settings
from mnas.devices import SurrogateDevice
from mnas.models import reference_architecture
from mnas.result import SearchResult
from mnas.run import search
from mnas.space import nearest_member

DEVICES = ("zcu102", "a100")
PRESET = load_settings("imagenet")
REFERENCES = PRESET.final.references
MODELS = (SurrogateAccuracy("mlp"), SurrogateAccuracy("trees"))
STARTS, KEPT = 60, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=PRESET.trials)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| device | reference | climb: times faster | search: times faster | share of the climb's |")
    print("|---|---|---|---|---|")
    for device in DEVICES:
        results = [found(device, seed, options.trials) for seed in range(options.seeds)]
        for index, name in enumerate(REFERENCES):
            rows.append(row(device, name, [result.comparisons[index].speedup or 0.0 for result in results], results))
    print(json.dumps({"benchmark": "imagenet", "trials": options.trials, "seeds": options.seeds, "rows": rows}))


def found(device: str, seed: int, trials: int) -> SearchResult:
    """The preset's search on a device of the data."""
    with tempfile.TemporaryDirectory() as folder:
        return search(
            space=PRESET.space.name,
            objective=PRESET.objective.model_dump(exclude_none=True),
            device={"name": "accel-nasbench", "device": device},
            controller=PRESET.controller.model_dump(),
            dataset=None,
            accuracy=PRESET.accuracy.model_dump(),
            final=PRESET.final.model_dump(),
            trials=trials,
            seed=seed,
            workers=0,
            out=Path(folder) / "run",
        )


def row(device: str, name: str, speedups: list[float], results: list[SearchResult]) -> dict[str, Any]:
    """Print one line of the table and return its figures."""
    starts = np.array([trial.tokens for result in results for trial in result.trials], dtype=np.uint8)
    most = climb(device, np.array([nearest_member(SPACE, reference_architecture(name))], dtype=np.uint8), starts)
    shares = [speedup / most for speedup in speedups]
    print(
        f"| {device} | {name} | {most:.2f} | {statistics.median(speedups):.2f} [{min(speedups):.2f}] "
        f"| {100 * statistics.median(shares):.0f} % [{100 * min(shares):.0f} %] |",
        flush=True,
    )
    return {"device": device, "reference": name, "climb": most, "search": speedups}


def climb(device: str, reference: Rows, starts: Rows) -> float:
    """How many times faster than the reference the best network is that both models hold for as accurate."""
    value = advantage(device, reference)
    optima = ascend(value, np.concatenate([random_rows(STARTS, seed=1), reference, best_of(value, starts)]))
    while True:
        around = unique(np.concatenate([changed(changed(best_of(value, optima))), optima]))
        best = best_of(value, around)
        if value(best).max() <= value(optima).max():
            return float(np.exp(value(optima).max()))
        optima = unique(ascend(value, best))


def advantage(device: str, reference: Rows) -> Callable[[Rows], Any]:
    """The logarithm of how many times faster, less a steep price for what either model misses in accuracy."""
    timer = SurrogateDevice(device)
    latency = timer.predict_tokens(reference)[0]
    levels = [model.predict_tokens(reference)[0] for model in MODELS]

    def value(rows: Rows) -> Any:
        missing = sum(
            np.maximum(0.0, level - model.predict_tokens(rows)[0])
            for model, level in zip(MODELS, levels, strict=True)
        )
        return np.log(latency / timer.predict_tokens(rows)[0]) - 100 * missing - (missing > 0)

    return value


def best_of(value: Callable[[Rows], Any], rows: Rows) -> Rows:
    """The best few."""
    return np.asarray(rows[np.argsort(-value(rows), kind="stable")[:KEPT]])


if __name__ == "__main__":
    main()
