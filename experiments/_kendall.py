"""Kendall's tau, and how sure it is when few networks and few seeds are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]  # (networks,); NaN where a network was not trained


@dataclass(frozen=True)
class Tau:
    """Kendall's tau with its interval at 95 %, which holds what other networks would have given."""

    tau: float
    low: float
    high: float
    networks: int  # the fewest that a pair of rankings had in common
    pairs: int  # of rankings, over which tau is a mean

    def __str__(self) -> str:
        return f"{self.tau:.2f} [{self.low:.2f}, {self.high:.2f}]"


def kendall_tau(one: Sequence[float] | Values, other: Sequence[float] | Values) -> float:
    """Kendall's tau-b: 1 for the same order, -1 for the reverse, about 0 for orders that know nothing of each other.

    The share of pairs in the same order less the share in reverse order; ties count for neither. NaN where one
    of the two is all ties.

    >>> round(kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]), 3)
    0.667
    """
    return _tau(_signs(np.asarray(one, float)), _signs(np.asarray(other, float)))


def tau_interval(pairs: Sequence[tuple[Values, Values]], resamples: int = 2_000, seed: int = 0) -> Tau:
    """The mean tau over pairs of rankings of the same networks, with a bootstrap interval over networks.

    A resample draws networks with replacement, the same ones for every pair: seeds of one network do not become
    networks. Two draws of one network are a tie in both rankings and so count for nothing. Networks that one of
    a pair lacks (NaN) are left out of that pair.
    """
    signs = [(_signs(one), _signs(other), ~(np.isnan(one) | np.isnan(other))) for one, other in pairs]
    count = len(pairs[0][0])
    generator = np.random.default_rng(seed)
    draws = [_mean_tau(signs, generator.integers(count, size=count)) for _ in range(resamples)]
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    fewest = min(int(has_both.sum()) for _, _, has_both in signs)
    return Tau(_mean_tau(signs, np.arange(count)), float(low), float(high), fewest, len(pairs))


def _mean_tau(signs: Sequence[tuple[Any, Any, Any]], drawn: NDArray[np.int64]) -> float:
    taus = []
    for one, other, has_both in signs:
        chosen = drawn[has_both[drawn]]
        grid = np.ix_(chosen, chosen)
        taus.append(_tau(one[grid], other[grid]))
    return float(np.mean(taus))


def _signs(values: Values) -> NDArray[np.float64]:
    """(networks,) -> (networks, networks): which of two is greater."""
    return np.sign(values[:, None] - values[None, :])


def _tau(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    norm = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / norm) if norm > 0 else float("nan")
