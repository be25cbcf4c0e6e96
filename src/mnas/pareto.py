"""The Pareto front of latency (less is better) and accuracy (more is better), and its hypervolume."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from mnas.trial import Trial, TrialState

_T = TypeVar("_T")


def pareto_front(trials: Iterable[Trial]) -> list[Trial]:
    """The COMPLETE trials that no other dominates, by rising latency; of equal ones the earliest.

    Tan et al. 2019, section 3: highest accuracy without more latency, or least latency without less accuracy.
    """
    return _staircase(
        (trial.measurement.latency.latency_ms, trial.measurement.accuracy, trial)  # type: ignore[union-attr, misc]
        for trial in trials
        if trial.state is TrialState.COMPLETE and not trial.cached
    )


def front_indices(points: Iterable[tuple[float, float]]) -> list[int]:
    """Indices of the (latency, accuracy) points on the front, by rising latency."""
    return _staircase((latency, accuracy, index) for index, (latency, accuracy) in enumerate(points))


def _staircase(points: Iterable[tuple[float, float, _T]]) -> list[_T]:
    """What stands behind (latency, accuracy) in the points on the front, by rising latency."""
    # Kept up point by point and in one pass: most points fall below it at once, so nothing is sorted, and
    # reading thousands of trials from memory is what takes the time.
    front: Staircase[_T] = Staircase()
    for latency, accuracy, item in points:
        front.add(latency, accuracy, item)
    return front.items


class Staircase(Generic[_T]):
    """A front that grows point by point: `items` are what stands behind its points, by rising latency."""

    def __init__(self) -> None:
        self.items: list[_T] = []
        self._latencies: list[float] = []
        self._accuracies: list[float] = []

    def add(self, latency: float, accuracy: float, item: _T) -> bool:
        """Take a point in, unless another is as good; what it dominates goes. Whether it was taken in."""
        latencies, accuracies = self._latencies, self._accuracies
        place = bisect_right(latencies, latency)
        if place and accuracies[place - 1] >= accuracy:
            return False
        start = place - 1 if place and latencies[place - 1] == latency else place
        end = bisect_right(accuracies, accuracy, lo=start)
        latencies[start:end] = [latency]
        accuracies[start:end] = [accuracy]
        self.items[start:end] = [item]
        return True


def hypervolume(points: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Area that (latency, accuracy) points dominate, bounded by the reference (latency, accuracy).

    Unit: milliseconds x fraction. Points that do not dominate the reference add nothing.
    """
    worst_ms, worst_accuracy = reference
    inside = [point for point in points if point[0] < worst_ms and point[1] > worst_accuracy]
    area, covered = 0.0, worst_accuracy
    for index in front_indices(inside):  # by rising latency, so by rising accuracy
        latency, accuracy = inside[index]
        area += (worst_ms - latency) * (accuracy - covered)
        covered = accuracy
    return area
