"""SurrogateAccuracy: accuracies predicted from thousands of real ImageNet trainings, in microseconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.accuracy._contract import AccuracyEstimate
from mnas.errors import did_you_mean
from mnas.space import Architecture
from mnas.surrogates import Prediction, load_surrogate

_FILES = {"mlp": ("accuracy-mlp",), "trees": ("accuracy-trees",), "both": ("accuracy-mlp", "accuracy-trees")}
_PERCENT = 100.0


@dataclass(frozen=True)
class SurrogateAccuracy:
    """The predicted top-1 of a shortened ImageNet recipe, for members of the space `accel-nasbench`.

        surrogate = SurrogateAccuracy()
        surrogate.estimate(architecture, seed=0).accuracy       # 0.660
        means, sds = surrogate.predict(architectures)           # fractions, each (networks,)
        SurrogateAccuracy(model="trees").predict(architectures) # the second opinion

    `model` "mlp" is an ensemble of small networks; "trees" are boosted trees, less exact and there to check
    the other: what only one of them believes is not to be believed. "both" gives, network by network, the lower of
    the two predictions, for searches: an optimum of one model is in part that model's own. Good for ranking; not a
    promise of what a full training gives. docs/surrogates.md has the errors.

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
        fits = [f"{name.removeprefix('accuracy-')} {load_surrogate(name).version}" for name in self._files]
        which = f"surrogate {fits[0]}" if len(fits) == 1 else f"the lower of surrogates {' and '.join(fits)}"
        return f"predicted top-1 of a shortened ImageNet recipe (accel-nasbench, 16 epochs at 160 to 192 px; {which})"

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        """The predicted accuracy; the seed changes nothing."""
        return AccuracyEstimate(float(self.predict((architecture,))[0][0]))

    def predict(self, architectures: Iterable[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and standard deviations as fractions; one real training lies within one deviation in 68 %."""
        prediction = self.examine(architectures)
        return prediction.mean / _PERCENT, prediction.sd / _PERCENT

    def predict_tokens(self, tokens: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same from rows of the space's tokens, shape (networks, 28): quicker for large batches."""
        prediction = _lowest([load_surrogate(name).predict_tokens(tokens) for name in self._files])
        return prediction.mean / _PERCENT, prediction.sd / _PERCENT

    def examine(self, architectures: Iterable[Architecture]) -> Prediction:
        """All there is to say, in percent: 95 % intervals too, and which networks lie far from the data."""
        networks = tuple(architectures)
        return _lowest([load_surrogate(name).predict(networks) for name in self._files])

    @property
    def opinions(self) -> tuple[SurrogateAccuracy, SurrogateAccuracy]:
        """Both models by themselves, the one that is used, or the better one, first."""
        order = ("trees", "mlp") if self.model == "trees" else ("mlp", "trees")
        return SurrogateAccuracy(order[0]), SurrogateAccuracy(order[1])

    @property
    def _files(self) -> tuple[str, ...]:
        return _FILES[self.model]


def _lowest(predictions: Sequence[Prediction]) -> Prediction:
    """Network by network the prediction with the lowest mean; far from the data where any says so."""
    if len(predictions) == 1:
        return predictions[0]
    lowest = np.argmin([prediction.mean for prediction in predictions], axis=0)
    fields = {
        field.name: np.choose(lowest, [getattr(prediction, field.name) for prediction in predictions])
        for field in dataclasses.fields(Prediction)
    }
    return Prediction(**{**fields, "far": np.any([prediction.far for prediction in predictions], axis=0)})
