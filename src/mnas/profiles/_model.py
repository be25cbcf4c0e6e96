"""CostModel: what each part of a network costs, learnt from latencies of whole networks and of single layers.

A latency is the sum of its parts' costs. A part's cost is a sum of physical terms (multiply-adds, numbers moved,
weights, a call) with coefficients that are never negative, times one plus a correction, which is a Gaussian process
over the part's sizes, by kind of part. Sums of Gaussian processes are Gaussian, so latencies of networks and of
single layers teach it alike, and it knows which further measurement would teach it most (`_choose.py`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize, nnls
from scipy.sparse import csr_array

from mnas.profiles._parts import Part

Array = NDArray[np.float64]

_VECTOR = 16  # channels are computed by so many or by half as many at a time: 8 of 16 cost as much as 16
_SHRINKAGE = 1.0  # how much a coefficient of one kind of part is held back in favour of those that all kinds share
_SHRINKAGE_LIKE = 3.0  # ... and a coefficient of one family in favour of scaling another device's costs as a whole
_DRIFT_SECONDS = 20.0  # in which a drift of the device is forgotten to 1 / e
_LEARN_FROM = 250  # observations from which the hyperparameters are learnt; all of them set the corrections


@dataclass(frozen=True)
class Observation:
    """One measured latency and what it is the sum of."""

    parts: Mapping[Part, int]  # with how often each occurs
    ms: float
    alone: bool = False  # of a single layer
    seconds: float = 0.0  # when, since the beginning


class PartCosts(Protocol):
    """What tells the cost of parts: a CostModel, or a profile that was made with one."""

    def costs(self, parts: Sequence[Part]) -> Array:
        """Milliseconds of each part, (parts,)."""
        ...


# Logarithms, in this order: size of the corrections; length scales in doublings of inputs, outputs and side, and in
# half vectors of channels; size of what is each part's own; relative noise of whole networks and of single layers.
_USUAL = np.array([-1.0, 0.9, 2.0, 1.4, 0.0, -4.3, -3.3, -4.0, -1.6, -4.0])
_UNCERTAIN = np.array([0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7])  # standard deviations of what is usual


class CostModel:
    """Fitted by `CostModel(observations)`; then `costs(parts)` gives milliseconds.

    Hyperparameters are learnt from the observations, by their posterior mode around usual values. `like` is another
    device's model or profile: its costs, scaled as a whole and by family of part, then stand in place of what each
    kind of part has for itself, so that few observations do.
    """

    def __init__(self, observations: Sequence[Observation], like: PartCosts | None = None) -> None:
        self._like = like
        y = np.array([observation.ms for observation in observations])
        self._alone = np.array([observation.alone for observation in observations], dtype=int)
        self._seconds = np.array([observation.seconds for observation in observations])
        self._parts = list(dict.fromkeys(part for o in observations for part in o.parts))
        counts = _counts([o.parts for o in observations], self._parts)
        names: dict[frozenset[tuple[Part, int]], int] = {}
        number = np.array([names.setdefault(frozenset(o.parts.items()), len(names)) for o in observations])
        self._same = number[:, None] == number[None]  # of one network
        self._fit_terms(counts, y)
        cost = self._term_costs(self._parts)
        total = counts @ cost
        self._shares = counts * self._scales(self._parts) / total[:, None]  # what a correction of 1 adds to the sum
        self._residuals = y / total - 1
        self.learnt = self._learn()
        covariance = self._covariance(self.learnt)
        self._factor = cho_factor(covariance, lower=True)
        self._weights = self._shares.T @ cho_solve(self._factor, self._residuals)

    def costs(self, parts: Sequence[Part]) -> Array:
        """Milliseconds of each part, (parts,)."""
        corrections = np.zeros(len(parts))
        for rows, known in _by_kind(parts, self._parts):
            corrections[rows] = _kernel(self.learnt, _at(parts, rows), _at(self._parts, known)) @ self._weights[known]
        return self._term_costs(parts) + self._scales(parts) * corrections

    def predict(self, networks: Sequence[Mapping[Part, int]]) -> Array:
        """Milliseconds of each network, (networks,)."""
        parts = list(dict.fromkeys(part for network in networks for part in network))
        return np.asarray(_counts(networks, parts) @ self.costs(parts))

    def uncertainty(self, networks: Sequence[Mapping[Part, int]]) -> Array:
        """Covariance of the relative errors that the corrections leave, (networks, networks)."""
        parts = list(dict.fromkeys(part for network in networks for part in network))
        counts = _counts(networks, parts)
        cost = self._term_costs(parts)
        shares = csr_array(counts * self._scales(parts) / (counts @ cost)[:, None])
        prior = np.zeros((len(networks), len(networks)))
        between = np.zeros((len(networks), len(self._residuals)))
        known_shares = csr_array(self._shares)
        for rows, known in _by_kind(parts, self._parts):
            mine = shares[:, rows]
            prior += mine @ (mine @ _kernel(self.learnt, _at(parts, rows), _at(parts, rows))).T
            kernel = _kernel(self.learnt, _at(parts, rows), _at(self._parts, known))
            between += (known_shares[:, known] @ (mine @ kernel).T).T
        return np.asarray(prior - between @ cho_solve(self._factor, between.T))

    def noise(self, alone: bool) -> float:
        """Relative variance of one measurement."""
        return float(np.exp(2 * self.learnt[6 + alone]))

    def _fit_terms(self, counts: Array, y: Array) -> None:
        """Coefficients of the terms, by least squares of relative errors without negative ones."""
        named = (terms(part) if self._like is None else _terms_like(part, 1.0) for part in self._parts)
        self._columns = sorted({name for found in named for name in found})
        weights = 1 / np.sqrt(self._same.sum(axis=1))  # a network that was measured often counts once
        design = (counts @ self._table(self._parts)) * (weights / y)[:, None]
        scale = np.sqrt((design**2).sum(axis=0))
        scale[scale == 0] = 1.0
        shared = np.array([name.startswith("any") for name in self._columns])
        shrinkage = _SHRINKAGE if self._like is None else _SHRINKAGE_LIKE
        held = np.diag(np.where(shared, 1e-4, shrinkage)) / math.sqrt(len(y))
        stacked = np.vstack([design / scale, held])
        found, _ = nnls(stacked, np.concatenate([weights, np.zeros(len(held))]))
        self._coefficients = found / scale

    def _term_costs(self, parts: Sequence[Part]) -> Array:
        costs = self._table(parts) @ self._coefficients
        return np.asarray(np.maximum(costs, 1e-9))

    def _table(self, parts: Sequence[Part]) -> Array:
        """The terms of each part, (parts, columns)."""
        if self._like is None:
            return _table([terms(part) for part in parts], self._columns)
        costs = self._like.costs(parts).tolist()
        return _table([_terms_like(*pair) for pair in zip(parts, costs, strict=True)], self._columns)

    def _scales(self, parts: Sequence[Part]) -> Array:
        """What a correction of 1 adds: the part's cost by its terms, for companions too."""
        return self._term_costs([part._replace(is_cold=False) for part in parts])

    def _learn(self) -> Array:
        chosen = np.random.default_rng(0).permutation(len(self._residuals))[:_LEARN_FROM]
        residuals = self._residuals[chosen]

        def loss(log: Array) -> float:
            try:
                lower = np.linalg.cholesky(self._covariance(log, chosen))
            except np.linalg.LinAlgError:
                return 1e9
            white = np.linalg.solve(lower, residuals)
            usual = (((log - _USUAL) / _UNCERTAIN) ** 2).sum() / 2
            return float(white @ white / 2 + np.log(np.diag(lower)).sum() + usual)

        bounds = [(m - 3 * s, m + 3 * s) for m, s in zip(_USUAL, _UNCERTAIN, strict=True)]
        return np.asarray(minimize(loss, _USUAL, method="L-BFGS-B", bounds=bounds, options={"maxiter": 15}).x)

    def _covariance(self, log: Array, rows: Any = slice(None)) -> Array:
        shares = self._shares[rows]
        apart = np.abs(np.subtract.outer(self._seconds[rows], self._seconds[rows])) / _DRIFT_SECONDS
        noise = np.exp(log[6 + self._alone[rows]])
        same = self._same[rows][:, rows]
        # Half of what is not explained is the network's own, and comes again when it is measured again.
        found = np.exp(2 * log[9] - apart) + np.outer(noise, noise) * (same + np.eye(len(same))) / 2
        for known, _ in _by_kind(self._parts, self._parts):
            mine = csr_array(shares[:, known])
            parts = _at(self._parts, known)
            found += mine @ (mine @ _kernel(log, parts, parts)).T
        return np.asarray(found)


@cache
def terms(part: Part) -> dict[str, float]:
    """The physical terms of a part's cost, those that all kinds share ("any ...") and its own."""
    if part.is_cold:
        weights, moved = float(part.weights), float(part.traffic)
        return {"any cold weights": weights, "any cold moved": moved, f"cold {part.family} moved": moved}
    if part.kind == "network":
        return {"network": 1.0}
    depthwise = part.family == "depthwise"
    sizes: dict[str, float] = {"call": 1.0, "moved": part.traffic, "written": part.outputs * part.out_pixels}
    if part.weights:
        per_output = part.madds / part.outputs
        for vector in (_VECTOR // 2, _VECTOR):
            outputs, inputs = _up(part.outputs, vector), _up(part.inputs, vector) / part.inputs
            sizes[f"madds by {vector}"] = per_output * outputs * (1 if depthwise else inputs)
        sizes |= {"madds": part.madds, "weights": part.weights}
    shared = ("call", "moved", f"madds by {_VECTOR}")
    return {f"{part.kind} {name}": value for name, value in sizes.items()} | {
        f"any {name}": sizes[name] for name in shared if name in sizes
    }


def _terms_like(part: Part, cost: float) -> dict[str, float]:
    """The terms where a part's cost on another device is known; of the physical ones those that all kinds share."""
    shared = {name: value for name, value in terms(part).items() if name.startswith(("any", "network"))}
    return shared | {"any cost": cost, f"{part.family} cost": cost}


def _table(rows: Sequence[Mapping[str, float]], columns: Sequence[str]) -> Array:
    place = {name: column for column, name in enumerate(columns)}
    table = np.zeros((len(rows), len(columns)))
    for row, values in enumerate(rows):
        for name, value in values.items():
            if name in place:
                table[row, place[name]] = value
    return table


def _counts(networks: Sequence[Mapping[Part, int]], parts: Sequence[Part]) -> Array:
    place = {part: column for column, part in enumerate(parts)}
    counts = np.zeros((len(networks), len(parts)))
    for row, network in enumerate(networks):
        for part, count in network.items():
            counts[row, place[part]] = count
    return counts


def _by_kind(parts: Sequence[Part], others: Sequence[Part]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Indices of the parts and of the others of each kind that both have, companions apart."""
    sides: list[dict[tuple[str, bool], list[int]]] = []
    for side in (parts, others):
        groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
        for index, part in enumerate(side):
            groups[part.kind, part.is_cold].append(index)
        sides.append(groups)
    return [(np.array(rows), np.array(sides[1][kind])) for kind, rows in sides[0].items() if kind in sides[1]]


def _at(parts: Sequence[Part], indices: NDArray[np.intp]) -> Array:
    return np.array([_features(parts[index]) for index in indices])


@cache
def _features(part: Part) -> tuple[float, ...]:
    half = _VECTOR / 2
    sizes = (math.log2(part.inputs), math.log2(part.outputs), math.log2(part.in_pixels) / 2)
    return (*sizes, part.inputs % _VECTOR / half, part.outputs % _VECTOR / half, float(part.is_cold))


def _kernel(log: Array, ones: Array, others: Array) -> Array:
    """Covariance of the corrections of parts of one kind, from their features."""
    lengths = np.exp(log[[1, 2, 3, 4, 4]])
    a, b = ones[:, :5] / lengths, others[:, :5] / lengths
    size, own = (log[8], -20.0) if len(ones) and ones[0, 5] else (log[0], log[5])
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    same = (squares < 1e-9).astype(float)
    return np.asarray(np.exp(2 * size) * np.exp(-np.maximum(squares, 0) / 2) + np.exp(2 * own) * same)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
