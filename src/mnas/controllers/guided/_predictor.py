"""GaussianProcess: what a number of networks measured says of all the others, with error bars.

The covariance of two networks is a sum of four: a constant; a linear one in the features; a Matern 5/2 of the
whole network; and one Matern 5/2 per part, because what a block costs or brings hardly depends on the other blocks.
All share one weight per group of features (automatic relevance determination). Weights, variances and noise maximize
the marginal likelihood times a prior (Rasmussen and Williams 2006, chapters 2 and 5), with analytic gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular
from scipy.optimize import minimize

from mnas.controllers._snapshot import packed, unpacked
from mnas.controllers.guided._arrays import Floats
from mnas.controllers.guided._features import Group, Rows

_BOUNDS = (-16.0, 6.0)
_JITTER = 1e-8
_CONSTANT = 1.0  # variance of the constant, for values of variance 1
_DENSE = 0.4  # of rows distinct, from which a part's rows are not gathered by kind


@dataclass(frozen=True)
class Prior:
    """Normal priors, as (middle, standard deviation), of the logarithms of a process's parameters.

    Variances are relative to the variance of the values.
    """

    weight: tuple[float, float] = (-4.0, 1.5)  # 1 / squared length scale of a group of features
    linear: tuple[float, float] = (-1.0, 2.0)  # variance of the linear covariance
    whole: tuple[float, float] = (-1.0, 2.0)  # of the network's Matern
    part: tuple[float, float] = (-1.0, 2.0)  # of each part's Matern
    noise: tuple[float, float] = (-7.0, 2.0)


@dataclass(frozen=True)
class _Fit:
    """A fit to some rows, all a prediction needs."""

    rows: Rows
    parameters: Floats
    middle: float
    spread: float
    inverse_root: Floats  # of the lower Cholesky factor
    alpha: Floats
    errors: Floats  # leave-one-out, in units of `spread`


class GaussianProcess:
    """Means and standard deviations of a value for any rows, from its noisy values at some.

        process = GaussianProcess(feature_map.groups, Prior())
        process.fit(rows, values, iterations=60)
        means, sds = process.predict(others)

    Args:
        groups: of the features to look at; it may be some of a `FeatureMap`'s.
        prior: of the parameters.
    """

    def __init__(self, groups: Sequence[Group], prior: Prior) -> None:
        self.groups = tuple(groups)
        self._used = np.concatenate([group.columns for group in groups]).astype(np.intp)
        self._owner = np.concatenate([np.full(len(g.columns), i) for i, g in enumerate(groups)]).astype(np.intp)
        parts = np.array([g.part for g in groups])[self._owner]
        self._columns = [np.flatnonzero(parts == part) for part in sorted(set(parts.tolist()) - {0})]
        self._part_codes = [part - 1 for part in sorted(set(parts.tolist()) - {0})]
        priors = [prior.weight] * len(self.groups) + [prior.linear, prior.whole, prior.part, prior.noise]
        self._prior, self._prior_sd = np.array(priors).T
        self._parameters = self._prior.copy()
        self._now: _Fit | None = None

    @property
    def weights(self) -> Floats:
        """One over the squared length scale of each group."""
        return np.asarray(np.exp(self._parameters[: len(self.groups)]))

    @property
    def noise(self) -> float:
        """Standard deviation of the noise, in the values' unit."""
        return float(np.exp(0.5 * self._parameters[-1])) * self._fitted.spread

    @property
    def left_out(self) -> Floats:
        """Each value as predicted from all the others, minus the value."""
        return self._fitted.errors * self._fitted.spread

    def fit(self, rows: Rows, values: Floats, extra_noise: Floats, iterations: int) -> None:
        """Take these values; with `iterations`, first search for better parameters from where they stand.

        `extra_noise` are variances that single values have beyond the common noise.
        """
        middle, spread = float(np.mean(values)), float(np.std(values)) or 1.0
        if not iterations and self._now is not None:
            middle, spread = self._now.middle, self._now.spread  # the parameters are in their units
        if iterations:
            scaled, extra = (values - middle) / spread, extra_noise / spread**2
            self._parameters = self._searched(rows, scaled, extra, iterations)
        self._now = self._conditioned(rows, values, extra_noise, middle, spread)

    def snapshot(self) -> dict[str, Any]:
        """The parameters, and the units that they are in, as JSON values."""
        fit = self._fitted
        return {"parameters": packed(self._parameters), "middle": fit.middle, "spread": fit.spread}

    def restore(self, snapshot: Mapping[str, Any], rows: Rows, values: Floats, extra_noise: Floats) -> None:
        """Go on as the process of the snapshot, which took these values last."""
        self._parameters = unpacked(snapshot["parameters"])
        self._now = self._conditioned(rows, values, extra_noise, snapshot["middle"], snapshot["spread"])

    def predict(self, rows: Rows) -> tuple[Floats, Floats]:
        """Means and standard deviations without noise, each (networks,)."""
        fit = self._fitted
        cross = self._covariance(rows, fit.rows)
        explained = np.square(fit.inverse_root @ cross.T).sum(axis=0)
        variance = np.maximum(self._variance(rows) - explained, 1e-10)
        return fit.middle + fit.spread * (cross @ fit.alpha), fit.spread * np.sqrt(variance)

    def posterior(self, rows: Rows) -> Floats:
        """Covariances without noise, (networks, networks)."""
        fit = self._fitted
        root = fit.inverse_root @ self._covariance(rows, fit.rows).T
        return np.asarray(fit.spread**2 * (self._covariance(rows, rows) - root.T @ root))

    @property
    def _fitted(self) -> _Fit:
        assert self._now is not None, "fit comes first"
        return self._now

    def _conditioned(self, rows: Rows, values: Floats, extra_noise: Floats, middle: float, spread: float) -> _Fit:
        scaled, extra = (values - middle) / spread, extra_noise / spread**2
        root = _root(self._noisy(self._covariance(rows, rows), extra, self._parameters))
        inverse_root = solve_triangular(root, np.eye(len(scaled)), lower=True, check_finite=False)
        alpha = inverse_root.T @ (inverse_root @ scaled)
        errors = -alpha / np.square(inverse_root).sum(axis=0)
        return _Fit(rows, self._parameters, middle, spread, inverse_root, alpha, errors)

    @staticmethod
    def _noisy(covariance: Floats, extra: Floats, parameters: Floats) -> Floats:
        covariance[np.diag_indices_from(covariance)] += np.exp(parameters[-1]) + _JITTER + extra
        return covariance

    def _variance(self, rows: Rows) -> Floats:
        linear, whole, part = np.exp(self._parameters[-4:-1])
        squares = np.square(rows.features[:, self._used]) @ self.weights[self._owner]
        return np.asarray(_CONSTANT + linear * squares + whole + len(self._columns) * part)

    def _covariance(self, a: Rows, b: Rows) -> Floats:
        linear, whole, part = np.exp(self._parameters[-4:-1])
        root = np.sqrt(self.weights[self._owner])
        x, y = a.features[:, self._used] * root, b.features[:, self._used] * root
        inner = x @ y.T
        result = _matern(_squared_distances(x, y, inner))
        result *= whole
        inner *= linear
        result += inner
        result += _CONSTANT
        for columns, code in zip(self._columns, self._part_codes, strict=True):
            (first, i), (second, j) = a.distinct[code], b.distinct[code]
            table = part * _matern(_squared_distances(x[np.ix_(first, columns)], y[np.ix_(second, columns)]))
            result += np.take(np.take(table, j, axis=1), i, axis=0)
        return result

    def _searched(self, rows: Rows, scaled: Floats, extra: Floats, iterations: int) -> Floats:
        kinds = [_Kinds.of(*rows.distinct[code]) for code in self._part_codes]
        found = minimize(
            self._loss,
            self._parameters,
            args=(rows.features[:, self._used], kinds, scaled, extra),
            jac=True,
            method="L-BFGS-B",
            bounds=[_BOUNDS] * len(self._parameters),
            options={"maxiter": iterations, "maxfun": iterations + 10},
        )
        return np.asarray(found.x)

    def _loss(
        self, parameters: Floats, features: Floats, kinds: Sequence[_Kinds], scaled: Floats, extra: Floats
    ) -> tuple[float, Floats]:
        """Minus the log of marginal likelihood times prior, and its gradient."""
        count = len(self.groups)
        linear, whole, part, noise = np.exp(parameters[count:])
        weights = np.exp(parameters[:count])[self._owner]
        x = features * np.sqrt(weights)
        inner = x @ x.T
        matern, slope = _matern_with_slope(_squared_distances(x, x, inner))
        parts = [_matern_with_slope(_squared_distances(x[k.first][:, c], x[k.first][:, c]))
                 for k, c in zip(kinds, self._columns, strict=True)]  # fmt: skip
        inner *= linear
        covariance = whole * matern
        covariance += inner
        covariance += _CONSTANT
        for kind, (values, _) in zip(kinds, parts, strict=True):
            covariance += part * kind.spread_out(values)
        inverse, half_log_determinant = _inverted(self._noisy(covariance, extra, parameters))
        if inverse is None:
            return 1e10, np.zeros_like(parameters)
        alpha = inverse @ scaled
        pull = 0.5 * (inverse - np.outer(alpha, alpha))  # half the derivative of the loss by the covariance
        by_column = linear * np.einsum("ij,ij->j", x, pull @ x)
        gradient = np.zeros_like(parameters)
        gradient[count] = by_column.sum()
        gradient[count + 1] = whole * np.vdot(pull, matern)
        gradient[count + 3] = noise * np.trace(pull)
        by_column += _distance_gradient(x, whole * slope * pull)
        for kind, columns, (values, slopes) in zip(kinds, self._columns, parts, strict=True):
            gathered = kind.gathered(pull)
            gradient[count + 2] += part * np.vdot(gathered, values)
            by_column[columns] += _distance_gradient(x[kind.first][:, columns], part * slopes * gathered)
        gradient[:count] = np.bincount(self._owner, by_column, count)
        off = (parameters - self._prior) / self._prior_sd
        loss = 0.5 * float(scaled @ alpha) + half_log_determinant + 0.5 * float(off @ off)
        return loss, gradient + off / self._prior_sd


@dataclass(frozen=True)
class _Kinds:
    """Rows by the code of one part: which rows stand for the distinct ones, and which of these each row is."""

    first: NDArray[np.intp]
    kind: NDArray[np.intp] | None  # None where each row stands for itself
    members: Floats | None  # (rows, kinds), one where a row is of a kind

    @classmethod
    def of(cls, first: NDArray[np.intp], kind: NDArray[np.intp]) -> _Kinds:
        if len(first) > _DENSE * len(kind):
            return cls(np.arange(len(kind)), None, None)
        return cls(first, kind, np.eye(len(first))[kind])

    def spread_out(self, table: Floats) -> Floats:
        """(kinds, kinds) to (rows, rows)."""
        return table if self.kind is None else np.take(np.take(table, self.kind, axis=0), self.kind, axis=1)

    def gathered(self, matrix: Floats) -> Floats:
        """(rows, rows) to sums per pair of kinds."""
        return matrix if self.members is None else np.asarray(self.members.T @ (matrix @ self.members))


def _root(covariance: Floats) -> Floats:
    """The lower Cholesky factor; where rounding makes a covariance of near copies indefinite, of a little more."""
    more = 0.0
    while True:
        try:
            return np.asarray(np.linalg.cholesky(covariance + more * np.eye(len(covariance))))
        except np.linalg.LinAlgError:
            more = max(10 * more, _JITTER * float(np.trace(covariance)) / len(covariance))


def _squared_distances(x: Floats, y: Floats, inner: Floats | None = None) -> Floats:
    inner = x @ y.T if inner is None else inner
    result = inner * -2.0
    result += np.einsum("ij,ij->i", x, x)[:, None]
    result += np.einsum("ij,ij->i", y, y)
    return np.asarray(np.maximum(result, 0.0, out=result))


def _matern(squared: Floats) -> Floats:
    """Of squared distances, which are overwritten: memory for more large arrays takes longer than the arithmetic."""
    scaled = np.sqrt(np.multiply(squared, 5.0, out=squared), out=squared)
    decay = np.negative(scaled)
    np.exp(decay, out=decay)
    decay *= 1.0 + scaled * (1.0 + scaled / 3.0)
    return decay


def _matern_with_slope(squared: Floats) -> tuple[Floats, Floats]:
    """The covariance, and minus twice its derivative by the squared distances, which are overwritten."""
    scaled = np.sqrt(np.multiply(squared, 5.0, out=squared), out=squared)
    decay = np.negative(scaled)
    np.exp(decay, out=decay)
    slope = (1.0 + scaled) * decay
    scaled *= scaled
    decay *= scaled
    decay /= 3.0
    decay += slope
    slope *= 5.0 / 3.0
    return decay, slope


def _distance_gradient(x: Floats, pull: Floats) -> Floats:
    """Of a loss by the logarithms of the columns' weights, through squared distances: (columns,).

    `pull` is minus twice the loss's derivative by the squared distances, symmetric.
    """
    sums = np.einsum("ij,ij,i->j", x, x, pull.sum(axis=1))
    return np.asarray(np.einsum("ij,ij->j", x, pull @ x) - sums)


def _inverted(matrix: Floats) -> tuple[Floats | None, float]:
    """The inverse of a symmetric matrix and half the log of its determinant; None where it is not positive."""
    factor, failed = lapack.dpotrf(matrix, lower=1)
    if failed:
        return None, 0.0
    lower, _ = lapack.dpotri(factor, lower=1)
    inverse: Floats = np.tril(lower) + np.tril(lower, -1).T
    return np.asarray(inverse), float(np.log(np.diag(factor)).sum())
