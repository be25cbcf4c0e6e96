"""Which choices matter, as far as the trials of a search tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnas.space import Choice
from mnas.views._columns import TrialColumns
from mnas.views._models import ChoiceImportance, Importance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD = (
    "Share of the variance that a choice accounts for: half of the rise in squared error when its answers are "
    "shuffled. A ridge regression on the answers to all choices predicts accuracy, or the logarithm of latency. It "
    "is fitted to bootstrap resamples of at most 1,000 networks and scored on those that a resample left out. "
    "Intervals hold 95 % of 60 resamples. Interactions of choices are not seen, and of networks that a controller "
    "avoids little is known."
)
LEAST_TRIALS = 20
_MOST_TRIALS = 1000
_RESAMPLES = 60
_RIDGE = 1.0


@dataclass(frozen=True)
class Importances:
    """By choice, and how much of the variance the models behind them explain."""

    rows: list[ChoiceImportance]
    explained: dict[str, float]


def importance(columns: TrialColumns, choices: tuple[Choice, ...], seed: int = 0) -> Importances:
    """How much each choice matters for accuracy and for latency; None where fewer than 20 networks tell.

    Takes a bounded time: some tenths of a second.
    """
    import numpy as np

    latencies = [None if value is None else float(np.log(value)) for value in columns.latency_ms]
    accuracies = [v if s == "COMPLETE" else None for v, s in zip(columns.accuracy, columns.state, strict=True)]
    found = {
        "accuracy": _of(columns, choices, accuracies, seed),
        "latency": _of(columns, choices, latencies, seed),
    }
    none: list[Importance | None] = [None] * len(choices)
    shares = {name: answer[0] if answer else none for name, answer in found.items()}
    rows = [
        ChoiceImportance(choice=choice.name, accuracy=shares["accuracy"][index], latency=shares["latency"][index])
        for index, choice in enumerate(choices)
    ]
    return Importances(rows, {name: answer[1] for name, answer in found.items() if answer})


def _of(
    columns: TrialColumns, choices: tuple[Choice, ...], targets: Sequence[float | None], seed: int
) -> tuple[list[Importance | None], float] | None:
    import numpy as np

    places = [p for p, target in enumerate(targets) if target is not None and not columns.cached[p]]
    generator = np.random.default_rng(seed)
    if len(places) > _MOST_TRIALS:
        places = sorted(generator.choice(places, _MOST_TRIALS, replace=False).tolist())
    y = np.array([targets[place] for place in places], dtype=np.float64)
    if len(places) < LEAST_TRIALS or not y.std() > 1e-9:
        return None
    tokens = np.array([columns.tokens[place] for place in places], dtype=np.int64).reshape(len(places), -1)
    sizes = [len(choice.options) for choice in choices]
    shares, explained = _resampled(tokens, sizes, (y - y.mean()) / y.std(), generator)
    low, high = np.percentile(shares, [2.5, 97.5], axis=0)
    means = shares.mean(0)
    rows: list[Importance | None] = [
        Importance(share=round(float(means[k]), 5), low=round(float(low[k]), 5), high=round(float(high[k]), 5))
        for k in range(len(choices))
    ]
    return rows, round(float(np.mean(explained)), 4)


def _resampled(
    tokens: NDArray[np.int64], sizes: Sequence[int], y: NDArray[np.float64], generator: np.random.Generator
) -> tuple[NDArray[np.float64], list[float]]:
    """Shares by choice on what each resample left out, (resamples, choices), and the R2 of its model."""
    import numpy as np

    count, shares, explained = len(y), [], []
    one_hot = np.concatenate([np.eye(size)[tokens[:, k]] for k, size in enumerate(sizes)], axis=1)
    for _ in range(_RESAMPLES):
        drawn = generator.integers(0, count, count)
        rest = np.setdiff1d(np.arange(count), drawn)
        if len(rest) < 5 or not y[rest].std() > 1e-9:
            continue
        weights, mean = _fit(one_hot[drawn], y[drawn])
        terms = _terms(one_hot[rest], weights, sizes)  # (networks, choices)
        error = y[rest] - mean - terms.sum(1)
        variance = ((y[rest] - y[rest].mean()) ** 2).mean()
        shuffled = terms[generator.permutation(len(rest))]
        rise = ((error[:, None] + terms - shuffled) ** 2).mean(0) - (error**2).mean()
        shares.append(rise / 2 / variance)  # half: what is shuffled adds its variance to the one it had
        explained.append(1 - (error**2).mean() / variance)
    return np.array(shares).reshape(-1, len(sizes)), explained


def _fit(one_hot: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    import numpy as np

    mean = float(y.mean())
    gram: Any = one_hot.T @ one_hot + _RIDGE * np.eye(one_hot.shape[1])
    return np.linalg.solve(gram, one_hot.T @ (y - mean)), mean


def _terms(one_hot: NDArray[np.float64], weights: NDArray[np.float64], sizes: Sequence[int]) -> NDArray[np.float64]:
    """What each choice adds to a prediction: (networks, choices)."""
    import numpy as np

    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
    return np.add.reduceat(one_hot * weights, starts, axis=1)
