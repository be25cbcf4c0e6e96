"""What `sample_efficiency.py` searches: a surrogate for accuracy, one for latency, and the best known of both.

The best known comes from climbing with the surrogates in the open, millions of queries long, as no controller
may: from many starts over all networks that differ in one choice, then in two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.accuracy import SurrogateAccuracy
from mnas.devices import SurrogateDevice
from mnas.errors import StopError
from mnas.objective import WeightedProduct
from mnas.pareto import front_indices, hypervolume
from mnas.space import Tokens, accel_nasbench_space
from mnas.surrogates import load_surrogate

SPACE = accel_nasbench_space()
SIZES = tuple(len(choice.options) for choice in SPACE.choices)
OPTIMA = Path(__file__).parent / "results" / "sample_efficiency_optima.json"
REWARDS = {"soft": (-0.07, -0.07), "hard": (0.0, -1.0)}  # exponents up to the target and above it
WORST_ACCURACY = 0.5  # of the hypervolume's reference
SAMPLE = 100_000  # random networks whose latencies give the target (median) and the reference (99th percentile)
STARTS = 1_000  # of the climb for each reward
LEVELS = 200  # latencies at which the front's climb begins
KEPT = 20  # local optima around which two choices are changed at once

Floats = NDArray[np.float64]
Rows = NDArray[np.uint8]  # (networks, choices)


@dataclass(frozen=True)
class Oracle:
    """Accuracy and latency of every network of the space: a device's, by one of the accuracy surrogates."""

    device: str
    model: str = "mlp"

    def __call__(self, rows: Any) -> tuple[Floats, Floats]:
        """Accuracies (fractions) and latencies (ms) of rows of tokens."""
        return SurrogateAccuracy(self.model).predict_tokens(rows)[0], self._device.predict_tokens(rows)[0]

    @property
    def version(self) -> str:
        """Which fits these are."""
        names = (f"accuracy-{self.model}", self.device)
        return ", ".join(f"{name} {load_surrogate(name).version}" for name in names)

    @cached_property
    def _device(self) -> SurrogateDevice:
        return SurrogateDevice(self.device)

    @cached_property
    def target_ms(self) -> float:
        """The median latency of the space."""
        return float(np.median(_latencies(self.device)))

    @cached_property
    def reference(self) -> tuple[float, float]:
        """Latency and accuracy that bound the hypervolume."""
        return float(np.percentile(_latencies(self.device), 99)), WORST_ACCURACY

    def objective(self, reward: str) -> WeightedProduct:
        """The soft or the hard reward."""
        return WeightedProduct(self.target_ms, *REWARDS[reward])

    def rewards(self, reward: str, accuracies: Any, latencies: Any) -> Floats:
        """Eq. 2 of many."""
        ratio = np.asarray(latencies) / self.target_ms
        alpha, beta = REWARDS[reward]
        return np.asarray(accuracies * ratio ** np.where(ratio <= 1, alpha, beta))


@cache
def _latencies(device: str) -> Floats:
    """Of random networks."""
    return SurrogateDevice(device).predict_tokens(random_rows(SAMPLE, seed=0))[0]


def random_rows(n: int, seed: int) -> Rows:
    """Networks drawn uniformly, as rows of tokens."""
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(0, size, n) for size in SIZES], axis=1).astype(np.uint8)


def best_known(device: str, model: str) -> dict[str, Any]:
    """The optima that the climb found: from the file, or climbed now and added to it."""
    key = f"{device} {model}"
    known = json.loads(OPTIMA.read_text(encoding="utf-8")) if OPTIMA.exists() else {}
    if key not in known:
        print(f"climbing for the best known of {key}", flush=True)
        known[key] = climb(Oracle(device, model))
        OPTIMA.parent.mkdir(exist_ok=True)
        OPTIMA.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")
    found: dict[str, Any] = known[key]
    oracle = Oracle(device, model)
    if found["surrogates"] != oracle.version or not math.isclose(found["target_ms"], oracle.target_ms):
        raise StopError(
            f"{OPTIMA.name} holds the optima of {found['surrogates']} with the target at {found['target_ms']:g} ms, "
            f"this mnas has {oracle.version} and {oracle.target_ms:g} ms: results of the two cannot be compared; "
            "delete both files of results and run everything again"
        )
    return found


def climb(oracle: Oracle) -> dict[str, Any]:
    """Optimum of each reward, and the front with its hypervolume."""
    optima: dict[str, Any] = {
        "surrogates": oracle.version,
        "target_ms": oracle.target_ms,
        "reference_ms": oracle.reference[0],
    }
    for reward in REWARDS:
        best = _best(oracle, reward)
        accuracy, latency = (float(values[0]) for values in oracle(best[None]))
        optima[reward] = {
            "reward": float(oracle.rewards(reward, accuracy, latency)),
            "accuracy": accuracy,
            "latency_ms": latency,
            "tokens": _word(best),
        }
    points, rows = _front(oracle, [optima[reward]["tokens"] for reward in REWARDS])
    thinned = np.unique(np.linspace(0, len(rows) - 1, 60).round().astype(int))
    optima["front"] = {
        "hypervolume": hypervolume(points, oracle.reference),
        "networks": len(rows),
        "some": [[round(points[i][0], 5), round(points[i][1], 6), _word(rows[i])] for i in thinned],
    }
    return optima


def _best(oracle: Oracle, reward: str) -> NDArray[np.uint8]:
    """The best network for a reward: steepest ascent from random starts, then two choices at a time."""

    def value(rows: Rows) -> Floats:
        return oracle.rewards(reward, *oracle(rows))

    optima = ascend(value, random_rows(STARTS, seed=1))
    while True:
        order = np.argsort(-value(optima), kind="stable")[:KEPT]
        around = unique(np.concatenate([changed(changed(optima[order])), optima[order]]))
        values = value(around)
        before, best = float(values[np.all(around == optima[order[0]], axis=1)].max()), int(values.argmax())
        if values[best] <= before:
            return np.asarray(around[best])
        optima = unique(ascend(value, around[np.argsort(-values)[:KEPT]]))


def ascend(value: Callable[[Rows], Floats], rows: Rows) -> Rows:
    """Each row's local optimum over changes of one choice."""
    rows = unique(rows)
    while True:
        options = changed(rows).reshape(len(rows), -1, len(SIZES))
        values = value(options.reshape(-1, len(SIZES))).reshape(len(rows), -1)
        best = values.argmax(axis=1)
        better = values.max(axis=1) > value(rows)
        if not better.any():
            return rows
        rows = unique(np.where(better[:, None], options[np.arange(len(rows)), best], rows))


def _front(oracle: Oracle, words: Sequence[str]) -> tuple[list[tuple[float, float]], Rows]:
    """The front: climbs at many latencies, then Pareto local search, at first over one change, then over two."""
    start = [np.array([[int(digit) for digit in word] for word in words], dtype=np.uint8)]
    for limit_ms in np.geomspace(_latencies(oracle.device).min(), oracle.reference[0], LEVELS):

        def value(rows: Rows, limit: float = limit_ms) -> Floats:
            accuracies, latencies = oracle(rows)
            return np.asarray(accuracies - 10 * np.maximum(0, latencies / limit - 1))

        start.append(ascend(value, random_rows(10, seed=2)))
    rows = _pareto(oracle, unique(np.concatenate(start)))[1]
    for reach in (1, 2):
        tried: set[bytes] = set()
        while True:
            fresh = np.array([row for row in rows if row.tobytes() not in tried], dtype=np.uint8)
            if not len(fresh):
                break
            tried |= {row.tobytes() for row in fresh}
            for part in np.array_split(fresh, max(1, len(fresh) // 200)):  # a part's neighbours fit in memory
                around = changed(part) if reach == 1 else changed(changed(part))
                points, rows = _pareto(oracle, unique(np.concatenate([rows, around])))
    return points, rows


def _pareto(oracle: Oracle, rows: Rows) -> tuple[list[tuple[float, float]], Rows]:
    accuracies, latencies = oracle(rows)
    points = list(zip(latencies.tolist(), accuracies.tolist(), strict=True))
    front = front_indices(points)
    return [points[i] for i in front], rows[front]


def changed(rows: Rows) -> Rows:
    """All rows that differ from one of these in one choice, row after row: (rows * 42, choices)."""
    return (rows[:, None, :] + _changes()[None]).reshape(-1, len(SIZES)) % np.array(SIZES, dtype=np.uint8)


@cache
def _changes() -> Rows:
    """What to add to tokens, modulo the number of options, to answer one choice differently."""
    changes = [(place, step) for place, size in enumerate(SIZES) for step in range(1, size)]
    table = np.zeros((len(changes), len(SIZES)), dtype=np.uint8)
    for index, (place, step) in enumerate(changes):
        table[index, place] = step
    return table


def unique(rows: Rows) -> Rows:
    """The rows without repeats, sorted."""
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))[:, 0]
    return rows[np.unique(keys, return_index=True)[1]]


def _word(row: Any) -> str:
    return "".join(str(int(token)) for token in row)


def from_word(word: str) -> Tokens:
    """Tokens from their digits."""
    return tuple(int(digit) for digit in word)
