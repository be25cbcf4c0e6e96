"""RunningFront: a Pareto front that grows point by point, as trials come in."""

from __future__ import annotations

from bisect import bisect_right


class RunningFront:
    """The front of the points added so far, which is `mnas.pareto.pareto_front` of them in any order."""

    def __init__(self) -> None:
        self._latencies: list[float] = []
        self._accuracies: list[float] = []
        self.numbers: list[int] = []  # by rising latency

    def add(self, latency_ms: float, accuracy: float, number: int) -> bool:
        """Take a trial in; whether that changed the front. Of equal points the lowest number stands."""
        place = bisect_right(self._latencies, latency_ms)
        if place and self._accuracies[place - 1] >= accuracy:
            is_equal = self._latencies[place - 1] == latency_ms and self._accuracies[place - 1] == accuracy
            if is_equal and number < self.numbers[place - 1]:
                self.numbers[place - 1] = number
                return True
            return False
        start = place - 1 if place and self._latencies[place - 1] == latency_ms else place
        end = bisect_right(self._accuracies, accuracy, lo=start)
        self._latencies[start:end] = [latency_ms]
        self._accuracies[start:end] = [accuracy]
        self.numbers[start:end] = [number]
        return True

    def hypervolume(self, reference_ms: float) -> float:
        """As `mnas.pareto.hypervolume` with the reference (reference_ms, 0): milliseconds x fraction."""
        area, covered = 0.0, 0.0
        for latency, accuracy in zip(self._latencies, self._accuracies, strict=True):
            if latency >= reference_ms:
                break
            area += (reference_ms - latency) * max(0.0, accuracy - covered)
            covered = max(covered, accuracy)
        return area
