"""What a guided search is after: which values it models, and how much a network is expected to add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.special import ndtr

from mnas.controllers.guided._acquisition import (
    RewardSurface,
    expected_gain,
    expected_hypervolume_gain,
    reward_moments,
)
from mnas.controllers.guided._arrays import Floats
from mnas.controllers.guided._predictor import Prior
from mnas.objective import Objective
from mnas.pareto import front_indices
from mnas.trial import Trial, TrialState

Prediction = tuple[Floats, Floats]  # means and standard deviations, each (networks,)

# Found on networks that searches on zcu102 told, asked for those near the best: with a linear covariance the
# predictions of accuracy were far too sure of themselves there.
ACCURACY = Prior(linear=(-8.0, 0.5), whole=(0.0, 0.4), part=(0.0, 0.4), noise=(-5.0, 1.5))
LATENCY = Prior(weight=(-4.0, 2.5), noise=(-9.0, 2.0))
FEASIBLE = Prior(noise=(-3.0, 2.0))  # of 1 for networks that can be had and -1 for others

_WIDER = 1.1  # the front's reference lies this far beyond the slowest network told
_BLUR = 5e-4  # of accuracies that are known: without it nothing leads a search to what is just accurate enough


class Aim(Protocol):
    """One kind of search."""

    targets: tuple[str, ...]
    priors: tuple[Prior, ...]  # of each target's predictor
    turn: int  # which of several things it is after

    def values(self, trial: Trial) -> tuple[float | None, ...]:
        """What a COMPLETE or INFEASIBLE trial teaches of each target."""
        ...

    def ceiling(self, trial: Trial, whole: Sequence[Trial]) -> float | None:
        """What the first target of a STOPPED trial would not have reached; None where nothing says so."""
        ...

    def look(self, first: Sequence[Trial], predicted: Sequence[Prediction]) -> None:
        """Take networks that were told, as they are predicted, as what is to be surpassed."""
        ...

    def gain(self, predicted: Sequence[Prediction]) -> Floats:
        """How much each network is expected to add."""
        ...

    def believe(self, means: Sequence[float]) -> None:
        """Go on as if a network with these values were told."""
        ...

    def order(self, predicted: Sequence[Prediction]) -> list[int]:
        """Networks from the best on, by the means; those that are not worth starting from may be left out."""
        ...


class PlainReward:
    """The reward is modelled itself."""

    targets: tuple[str, ...] = ("reward",)
    priors: tuple[Prior, ...] = (ACCURACY,)

    turn = 0

    def __init__(self) -> None:
        self._best = -np.inf

    def values(self, trial: Trial) -> tuple[float | None, ...]:
        """The reward of a network that was trained."""
        return (trial.reward if trial.state is TrialState.COMPLETE else None,)

    def ceiling(self, trial: Trial, whole: Sequence[Trial]) -> float | None:
        """The best reward."""
        return max((other.reward for other in whole), default=None)

    def look(self, first: Sequence[Trial], predicted: Sequence[Prediction]) -> None:
        """The best is the highest mean: the highest reward may be luck."""
        self._best = float(self.moments(predicted)[0].max())

    def gain(self, predicted: Sequence[Prediction]) -> Floats:
        """Expected improvement."""
        return expected_gain(*self.moments(predicted), self._best)

    def believe(self, means: Sequence[float]) -> None:
        """The best rises where the mean is higher."""
        point = [(np.array([mean]), np.zeros(1)) for mean in means]
        self._best = max(self._best, float(self.moments(point)[0][0]))

    def order(self, predicted: Sequence[Prediction]) -> list[int]:
        """By falling mean."""
        return [int(index) for index in np.argsort(-self.moments(predicted)[0], kind="stable")]

    def moments(self, predicted: Sequence[Prediction]) -> Prediction:
        """Mean and standard deviation of the reward."""
        return predicted[0]


class ObjectiveReward(PlainReward):
    """The reward follows from a model of the accuracy and one of the latency."""

    targets: tuple[str, ...] = ("accuracy", "latency_ms")
    priors: tuple[Prior, ...] = (ACCURACY, LATENCY)

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self._surface = RewardSurface(objective)
        self._cap_ms = objective.caps.max_latency_ms

    def values(self, trial: Trial) -> tuple[float | None, ...]:
        """What was measured."""
        return measured(trial)

    def ceiling(self, trial: Trial, whole: Sequence[Trial]) -> float | None:
        """The best accuracy of what is as quick."""
        return front_accuracy(trial, whole)

    def gain(self, predicted: Sequence[Prediction]) -> Floats:
        """Expected improvement, times the probability that the latency is below its cap."""
        return super().gain(predicted) * below_cap(predicted[1], self._cap_ms)

    def moments(self, predicted: Sequence[Prediction]) -> Prediction:
        """Mean and standard deviation of the reward."""
        return reward_moments(self._surface, predicted[0], predicted[1])


class Front:
    """The hypervolume of the front of latency and accuracy.

    Its reference is 1.1 times the largest latency and the lowest accuracy among the first `initial` COMPLETE trials.
    """

    targets: tuple[str, ...] = ("accuracy", "latency_ms")
    priors: tuple[Prior, ...] = (ACCURACY, LATENCY)

    turn = 0

    def __init__(self, initial: int, objective: Objective | None) -> None:
        self._initial = initial
        self._cap_ms = objective.caps.max_latency_ms if objective else None
        self._front: list[tuple[float, float]] = []
        self.reference = (0.0, 0.0)

    def values(self, trial: Trial) -> tuple[float | None, ...]:
        """What was measured."""
        return measured(trial)

    def ceiling(self, trial: Trial, whole: Sequence[Trial]) -> float | None:
        """The best accuracy of what is as quick."""
        return front_accuracy(trial, whole)

    def look(self, first: Sequence[Trial], predicted: Sequence[Prediction]) -> None:
        """The front of the means."""
        self.reference = (_WIDER * max(t.latency_ms or 0.0 for t in first), min(t.accuracy or 0.0 for t in first))
        self._front = [
            (latency, accuracy)
            for latency, accuracy in zip(predicted[1][0].tolist(), predicted[0][0].tolist(), strict=True)
        ]

    def gain(self, predicted: Sequence[Prediction]) -> Floats:
        """Expected gain of hypervolume, times the probability that the latency is below its cap."""
        gain = expected_hypervolume_gain(predicted[0], predicted[1], self._front, self.reference)
        return gain * below_cap(predicted[1], self._cap_ms)

    def believe(self, means: Sequence[float]) -> None:
        """One more point."""
        self._front.append((means[1], means[0]))

    def order(self, predicted: Sequence[Prediction]) -> list[int]:
        """The front of the means, by rising latency."""
        return front_indices(zip(predicted[1][0].tolist(), predicted[0][0].tolist(), strict=True))


class Levels(Front):
    """The least latency at given accuracies, one level after the other.

    What a network adds is its expected gain over the fastest that is accurate enough, relative to that one, times the
    probability that it is accurate enough itself (constrained expected improvement, Gardner et al. 2014).
    """

    def __init__(self, levels: Sequence[float], objective: Objective | None) -> None:
        super().__init__(0, objective)
        self._levels = tuple(levels)
        self._fastest = [0.0] * len(levels)  # of the means, at each level

    def look(self, first: Sequence[Trial], predicted: Sequence[Prediction]) -> None:
        """The fastest means at each level; where nothing is accurate enough, the slowest."""
        accuracies, latencies = predicted[0][0], predicted[1][0]
        able = [latencies[accuracies >= level] for level in self._levels]
        self._fastest = [float(found.min() if len(found) else latencies.max()) for found in able]

    def gain(self, predicted: Sequence[Prediction]) -> Floats:
        """Of the present level."""
        level, fastest = self._levels[self.turn], self._fastest[self.turn]
        enough = ndtr((predicted[0][0] - level) / np.maximum(predicted[0][1], _BLUR))
        faster = expected_gain(-predicted[1][0], predicted[1][1], -fastest) / fastest
        return np.asarray(enough * faster * below_cap(predicted[1], self._cap_ms))

    def believe(self, means: Sequence[float]) -> None:
        """The level is done better; the next one's turn."""
        if means[0] >= self._levels[self.turn]:
            self._fastest[self.turn] = min(self._fastest[self.turn], means[1])
        self.turn = (self.turn + 1) % len(self._levels)

    def order(self, predicted: Sequence[Prediction]) -> list[int]:
        """The fastest at the present level, then those that are not accurate enough, the most accurate first."""
        enough = predicted[0][0] >= self._levels[self.turn]
        return [int(index) for index in np.lexsort((np.where(enough, predicted[1][0], -predicted[0][0]), ~enough))]


def measured(trial: Trial) -> tuple[float | None, float | None]:
    """Accuracy and latency; no accuracy but that of a whole training."""
    return trial.accuracy if trial.state is TrialState.COMPLETE else None, trial.latency_ms


def front_accuracy(trial: Trial, whole: Sequence[Trial]) -> float | None:
    """The highest accuracy of trained networks that are as quick as this one."""
    if trial.latency_ms is None:
        return None
    quick = (other for other in whole if other.latency_ms is not None and other.latency_ms <= trial.latency_ms)
    return max((other.accuracy for other in quick if other.accuracy is not None), default=None)


def below_cap(latency_ms: Prediction, cap_ms: float | None) -> Floats | float:
    """The probability that latencies are at most the cap."""
    return 1.0 if cap_ms is None else np.asarray(ndtr((cap_ms - latency_ms[0]) / latency_ms[1]))
