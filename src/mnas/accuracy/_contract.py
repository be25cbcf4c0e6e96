"""The contract of everything that tells an architecture's accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mnas.space import Architecture


@dataclass(frozen=True)
class AccuracyEstimate:
    """An accuracy as a fraction, and how it came about."""

    accuracy: float
    curve: tuple[float, ...] = ()  # accuracy after each epoch
    seconds: float = 0.0


class AccuracyEstimator(Protocol):
    """Estimates accuracies, in worker processes: an estimator can be pickled, and loads its data when first used.

        estimator = ProxyTask(dataset, epochs=5)
        estimator.task                                  # "digits validation, 5 epochs, ..."
        estimator.estimate(architecture, seed=17)       # AccuracyEstimate(accuracy=0.981, curve=(...))

    The same architecture and seed give the same estimate, bit for bit on one machine. Raises TrainingError
    where this one candidate fails (divergence, NaN, out of memory).
    """

    @property
    def task(self) -> str:
        """What the accuracy is of; accuracies of different tasks are never compared."""
        ...

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        """The accuracy of one architecture."""
        ...
