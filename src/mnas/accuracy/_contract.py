"""The contract of everything that tells an architecture's accuracy."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from mnas.space import Architecture


@dataclass(frozen=True)
class AccuracyEstimate:
    """An accuracy as a fraction, and how it came about."""

    accuracy: float
    curve: tuple[float, ...] = ()  # accuracy after each epoch
    seconds: float = 0.0
    stopped: bool = False  # the training ended early, below what it was told to reach


@dataclass(frozen=True)
class StopBelow:
    """Accuracies that a training must have after some epochs; one that is below ends there.

    >>> StopBelow(((3, 0.4), (6, 0.8))).stops(epoch=3, accuracy=0.39)
    True
    """

    thresholds: tuple[tuple[int, float], ...] = ()  # (epoch, accuracy), by rising epoch

    def stops(self, epoch: int, accuracy: float) -> bool:
        """Whether a training that has this accuracy after this epoch ends."""
        return any(epoch == when and accuracy < least for when, least in self.thresholds)


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


class StoppableEstimator(AccuracyEstimator, Protocol):
    """An estimator that trains, and can end a training early. Those that cannot need not know of it.

        estimator.epochs                                                            # 12
        estimator.estimate(architecture, seed=17, stop_below=StopBelow(((3, 0.4),)))
        # AccuracyEstimate(accuracy=0.31, curve=(0.12, 0.2, 0.31), stopped=True)

    Up to where it ends, the curve is the one of the whole training, bit for bit.
    """

    @property
    def epochs(self) -> int:
        """Of a whole training; its curve has as many points."""
        ...

    def estimate(
        self, architecture: Architecture, seed: int, stop_below: StopBelow | None = None
    ) -> AccuracyEstimate:
        """The accuracy of one architecture, or what it had when its training was ended."""
        ...


def is_stoppable(estimator: AccuracyEstimator) -> TypeGuard[StoppableEstimator]:
    """Whether an estimator can end its trainings early."""
    return hasattr(estimator, "epochs") and "stop_below" in inspect.signature(estimator.estimate).parameters
