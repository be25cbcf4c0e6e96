"""Microseconds per query of the shipped surrogates, alone and in batches, beside scikit-learn's own trees.

    python benchmarks/bench_surrogate.py

From rows of tokens, and from architectures (which must be encoded first). The rival holds 2,500 boosted trees
of four leaves, as many as `accuracy-trees` was made from, and walks them. Told is the median of several repeats,
on one thread: set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from mnas.space import accel_nasbench_space
from mnas.surrogates import load_surrogate

REPEATS = 7
BATCHES = (1, 100, 10_000)
NAMES = ("accuracy-mlp", "accuracy-trees", "zcu102", "3090")


def main() -> None:
    """Measure and print."""
    space, generator = accel_nasbench_space(), np.random.default_rng(0)
    columns = [generator.integers(0, len(choice.options), max(BATCHES)) for choice in space.choices]
    tokens = np.stack(columns, axis=1).astype(np.uint8)
    architectures = [space.decode(tuple(row)) for row in tokens[:1000].tolist()]
    rows: dict[str, dict[str, float]] = {}
    for name in NAMES:
        surrogate = load_surrogate(name)
        rows[name] = _batches(surrogate.predict_tokens, tokens)
        rows[name]["1,000 architectures"] = _microseconds(lambda s=surrogate: s.predict(architectures), 1000)  # type: ignore[misc]
    rows["scikit-learn, 2,500 trees"] = _batches(_walked_trees(tokens).predict, tokens)
    titles = list(rows["accuracy-mlp"])
    print("us per query".ljust(28) + "".join(title.rjust(22) for title in titles))
    for name, row in rows.items():
        print(name.ljust(28) + "".join((f"{row[title]:.2f}" if title in row else "-").rjust(22) for title in titles))
    print(json.dumps({"benchmark": "surrogate", "repeats": REPEATS, "microseconds": rows}))


def _batches(predict: Callable[[Any], Any], tokens: Any) -> dict[str, float]:
    return {f"{size:,} token rows": _microseconds(lambda n=size: predict(tokens[:n]), size) for size in BATCHES}  # type: ignore[misc]


def _microseconds(call: Callable[[], Any], queries: int) -> float:
    calls = max(1, 200 // queries)
    call()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - began) / calls / queries)
    return 1e6 * statistics.median(times)


def _walked_trees(tokens: Any) -> Any:
    rows = tokens[:4000]
    model = HistGradientBoostingRegressor(max_iter=2500, max_leaf_nodes=4, early_stopping=False)
    return model.fit(rows, load_surrogate("accuracy-mlp").predict_tokens(rows).mean)


if __name__ == "__main__":
    main()
