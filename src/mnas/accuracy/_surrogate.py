"""SurrogateAccuracy: accuracies predicted from thousands of real ImageNet trainings, in microseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.accuracy._contract import AccuracyEstimate
from mnas.errors import did_you_mean
from mnas.space import Architecture
from mnas.surrogates import Prediction, Surrogate, load_surrogate

_FILES = {"mlp": "accuracy-mlp", "trees": "accuracy-trees"}
_PERCENT = 100.0


@dataclass(frozen=True)
class SurrogateAccuracy:
    """The predicted top-1 of a shortened ImageNet recipe, for members of the space `accel-nasbench`.

        surrogate = SurrogateAccuracy()
        surrogate.estimate(architecture, seed=0).accuracy       # 0.660
        means, sds = surrogate.predict(architectures)           # fractions, each (networks,)
        SurrogateAccuracy(model="trees").predict(architectures) # the second opinion

    `model` "mlp" is an ensemble of small networks; "trees" are boosted trees, less exact and there to check
    the other: what only one of them believes is not to be believed. Good for ranking; not a promise of what
    a full training gives. docs/surrogates.md has the errors.

    Raises:
        SettingsError: an unknown model; from the methods, an architecture outside the space.
        StopError: the surrogate's file is missing or damaged.
    """

    model: str = "mlp"

    def __post_init__(self) -> None:
        if self.model not in _FILES:
            raise did_you_mean("model of an accuracy surrogate:", self.model, _FILES)

    @property
    def task(self) -> str:
        """What is predicted, and by which fit."""
        return (
            "predicted top-1 of a shortened ImageNet recipe "
            f"(accel-nasbench, 16 epochs at 160 to 192 px; surrogate {self.model} {self._surrogate.version})"
        )

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        """The predicted accuracy; the seed changes nothing."""
        return AccuracyEstimate(float(self.predict((architecture,))[0][0]))

    def predict(self, architectures: Iterable[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and standard deviations as fractions; one real training lies within one deviation in 68 %."""
        prediction = self.examine(architectures)
        return prediction.mean / _PERCENT, prediction.sd / _PERCENT

    def predict_tokens(self, tokens: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same from rows of the space's tokens, shape (networks, 28): quicker for large batches."""
        prediction = self._surrogate.predict_tokens(tokens)
        return prediction.mean / _PERCENT, prediction.sd / _PERCENT

    def examine(self, architectures: Iterable[Architecture]) -> Prediction:
        """All there is to say, in percent: 95 % intervals too, and which networks lie far from the data."""
        return self._surrogate.predict(architectures)

    @property
    def _surrogate(self) -> Surrogate:
        return load_surrogate(_FILES[self.model])
