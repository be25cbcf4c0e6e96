"""RunningFront: a Pareto front that grows trial by trial, in whatever order they come."""

from __future__ import annotations

from mnas.pareto import Staircase


class RunningFront:
    """The front of the trials added so far: the same as `mnas.pareto.pareto_front` of them in order of number."""

    def __init__(self) -> None:
        self._points: Staircase[tuple[float, float]] = Staircase()
        self._lowest: dict[tuple[float, float], int] = {}  # of equal trials the lowest number stands

    @property
    def numbers(self) -> list[int]:
        """Of the trials on the front, by rising latency."""
        return [self._lowest[point] for point in self._points.items]

    def add(self, latency_ms: float, accuracy: float, number: int) -> bool:
        """Take a trial in; whether that moved the front."""
        point = latency_ms, accuracy
        self._lowest[point] = min(number, self._lowest.get(point, number))
        return self._points.add(latency_ms, accuracy, point)

    def hypervolume(self, reference_ms: float) -> float:
        """As `mnas.pareto.hypervolume` with the reference (reference_ms, 0): milliseconds x fraction."""
        area, covered = 0.0, 0.0
        for latency, accuracy in self._points.items:
            if latency >= reference_ms:
                break
            area += (reference_ms - latency) * max(0.0, accuracy - covered)
            covered = max(covered, accuracy)
        return area
