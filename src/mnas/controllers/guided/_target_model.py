"""TargetModel: one value of a network (accuracy, latency, reward), predicted from trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mnas.controllers.guided._arrays import Floats, TokenArray
from mnas.controllers.guided._features import FeatureMap, Rows
from mnas.controllers.guided._predictor import GaussianProcess, Prior

_FIRST, _NEXT, _LATE = 60, 20, 7  # iterations of a fit: the first, later ones, those with many values
_MANY = 120
_GROWTH = 1.1  # parameters are searched again when there are so many times the values
_SHOWN = 5  # most important groups in a summary
_CERTAIN = 1e-6  # standard deviation of what is known


class TargetModel:
    """A Gaussian process with its schedule of fits, and what a run on another device knew as its prior mean.

    Args:
        name: of the target. A latency is kept above half the least one seen, whatever a sum of parts says.
        feature_map: of the space. An accuracy follows the logarithms of counts and is not shown the plain ones.
        prior: of the process's parameters.
    """

    def __init__(self, name: str, feature_map: FeatureMap, prior: Prior) -> None:
        self.name = name
        groups = [group for group in feature_map.groups if name != "accuracy" or not group.is_cost]
        self._process = GaussianProcess(groups, prior)
        self._before: GaussianProcess | None = None
        self._scale = 0.0
        self._fitted_at = 0
        self._least = -np.inf
        self._rows: Rows | None = None
        self._values: Floats = np.zeros(0)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise."""
        return self._process.noise

    def start_from(self, rows: Rows, values: Floats, prior: Prior) -> None:
        """Take these values, of another device or run, for the shape of the prior mean; its scale is learnt."""
        self._before = GaussianProcess(self._process.groups, prior)
        self._before.fit(rows, values, np.zeros(len(values)), _FIRST)

    def fit(self, rows: Rows, values: Floats, extra_noise: Floats, count: int) -> None:
        """Learn these values; `count`, of all that were told, says whether parameters are searched again."""
        residuals = self._taken(rows, values)
        self._process.fit(rows, residuals, extra_noise, self._iterations(count))

    def snapshot(self) -> dict[str, Any]:
        """What fits have found, as JSON values; what they learnt from is not in it."""
        return {"process": self._process.snapshot(), "fitted_at": self._fitted_at}

    def restore(self, snapshot: Mapping[str, Any], rows: Rows, values: Floats, extra_noise: Floats) -> None:
        """Go on as the model of the snapshot, whose last fit was to these values."""
        residuals = self._taken(rows, values)
        self._process.restore(snapshot["process"], rows, residuals, extra_noise)
        self._fitted_at = int(snapshot["fitted_at"])

    def predict(self, rows: Rows) -> tuple[Floats, Floats]:
        """Means and standard deviations without noise, each (networks,)."""
        mean, sd = self._process.predict(rows)
        if self._before:
            mean = mean + self._scale * self._before.predict(rows)[0]
        if self.name == "latency_ms":
            mean = np.maximum(mean, self._least)
            sd = np.minimum(sd, mean)
        return mean, sd

    def posterior(self, rows: Rows) -> Floats:
        """Covariances without noise, (networks, networks)."""
        return self._process.posterior(rows)

    def summary(self) -> dict[str, Any]:
        """Noise, leave-one-out Kendall tau and root mean square error, and what matters most, as shares."""
        from scipy.stats import kendalltau  # takes as long to import as all else here, and is needed only now

        assert self._rows is not None
        errors = self._process.left_out
        groups = self._process.groups
        spread = np.array([self._rows.features[:, list(group.columns)].var(axis=0).sum() for group in groups])
        shares = self._process.weights * spread
        shares = shares / (float(shares.sum()) or 1.0)
        largest = np.argsort(-np.round(shares, 6), kind="stable")[:_SHOWN]
        return {
            "values": len(errors),
            "noise": _short(self.noise),
            # Not a number where all values are equal and nothing can be ordered.
            "left_out_tau": _short(np.nan_to_num(kendalltau(self._values + errors, self._values).statistic)),
            "left_out_rmse": _short(float(np.sqrt(np.mean(np.square(errors))))),
            "important": {groups[index].name: _short(float(shares[index])) for index in largest.tolist()},
        }

    def _taken(self, rows: Rows, values: Floats) -> Floats:
        """Take these values; what is left of them for the process to learn."""
        means = self._before.predict(rows)[0] if self._before else np.zeros(len(values))
        squares = float(means @ means)
        self._scale = float(means @ values) / squares if squares else 0.0
        self._rows, self._values = rows, values
        self._least = float(values.min()) / 2 if self.name == "latency_ms" else -np.inf
        return np.asarray(values - self._scale * means)

    def _iterations(self, count: int) -> int:
        before = self._fitted_at
        if before and count < _GROWTH * before:
            return 0
        self._fitted_at = count
        if not before:
            return _FIRST
        return _NEXT if count < _MANY else _LATE


class KnownTarget:
    """A value that needs no trial to know, in the place of a TargetModel.

    Args:
        name: of the target.
        values: of rows of tokens (networks, choices).
    """

    noise = 0.0

    def __init__(self, name: str, values: Callable[[TokenArray], Floats]) -> None:
        self.name = name
        self._values = values

    def fit(self, rows: Rows, values: Floats, extra_noise: Floats, count: int) -> None:
        """Nothing is left to learn."""

    def snapshot(self) -> dict[str, Any]:
        """Nothing was learnt."""
        return {}

    def restore(self, snapshot: Mapping[str, Any], rows: Rows, values: Floats, extra_noise: Floats) -> None:
        """Nothing was learnt."""

    def predict(self, rows: Rows) -> tuple[Floats, Floats]:
        """The values, and next to no deviation."""
        return self._values(rows.tokens), np.full(len(rows), _CERTAIN)

    def posterior(self, rows: Rows) -> Floats:
        """No covariance."""
        return np.diag(np.full(len(rows), _CERTAIN**2))

    def summary(self) -> dict[str, Any]:
        """That it is known."""
        return {"known": True}


def rows_of(feature_map: FeatureMap, tokens: Sequence[Sequence[int]]) -> Rows:
    """Rows of token tuples."""
    return feature_map(np.array(tokens, dtype=np.int64).reshape(len(tokens), -1))


def _short(value: float) -> float:
    return float(f"{value:.4g}")
