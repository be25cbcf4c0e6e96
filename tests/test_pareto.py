from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.objective import Latency, Measurement
from mnas.pareto import front_indices, hypervolume, pareto_front
from mnas.space import Architecture
from mnas.trial import Trial, TrialState

Point = tuple[float, float]
# Few values, so that ties are common, and any values.
coarse = st.tuples(st.integers(1, 6).map(float), st.integers(0, 6).map(lambda n: n / 6))
fine = st.tuples(st.floats(0.1, 100), st.floats(0, 1))
many_points = st.one_of(st.lists(coarse, max_size=30), st.lists(fine, max_size=30))


def dominates(a: Point, b: Point) -> bool:
    return a[0] <= b[0] and a[1] >= b[1] and a != b


def brute_force(points: list[Point]) -> list[int]:
    front = [
        i
        for i, point in enumerate(points)
        if not any(dominates(other, point) for other in points) and point not in points[:i]
    ]
    return sorted(front, key=lambda i: points[i][0])


@settings(deadline=None, max_examples=300)
@given(many_points)
def test_the_front_is_that_of_comparing_all_pairs(points: list[Point]) -> None:
    assert front_indices(points) == brute_force(points)


@settings(deadline=None)
@given(st.lists(coarse, max_size=30), st.randoms(use_true_random=False))
def test_the_front_does_not_hang_on_the_order(points: list[Point], shuffler: object) -> None:
    shuffled = points.copy()
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [points[i] for i in front_indices(points)] == [shuffled[i] for i in front_indices(shuffled)]


@settings(deadline=None, max_examples=300)
@given(st.lists(coarse, max_size=12), coarse)
def test_the_hypervolume_is_the_area_of_the_cells_that_are_dominated(points: list[Point], reference: Point) -> None:
    """On a grid of 1 ms x 1/6 a cell is dominated when some point is at or beyond its best corner."""
    worst_ms, worst_accuracy = reference
    cells = [(ms, level) for ms in range(1, int(worst_ms)) for level in range(round(worst_accuracy * 6), 6)]
    covered = sum(any(p[0] <= ms and round(p[1] * 6) >= level + 1 for p in points) for ms, level in cells)
    assert hypervolume(points, reference) == pytest.approx(covered / 6)


@settings(deadline=None)
@given(st.lists(fine, max_size=20), fine)
def test_another_point_never_lowers_the_hypervolume(points: list[Point], point: Point) -> None:
    reference = (60.0, 0.2)
    assert hypervolume([*points, point], reference) >= hypervolume(points, reference) - 1e-9
    dominated = (point[0] + 1, point[1])
    assert hypervolume([*points, point, dominated], reference) == hypervolume([*points, point], reference)


def test_a_hypervolume_by_hand() -> None:
    # 100 ms and 0.5 are the worst that count: (100 - 20) * 0.2 and (100 - 50) * 0.1 more.
    points = [(20.0, 0.7), (50.0, 0.8), (60.0, 0.75), (120.0, 0.9), (10.0, 0.4)]
    assert hypervolume(points, (100.0, 0.5)) == pytest.approx(80 * 0.2 + 50 * 0.1)
    assert hypervolume([], (100.0, 0.5)) == 0


def trial(number: int, latency_ms: float, accuracy: float, **changes: object) -> Trial:
    latency = Latency(latency_ms, latency_ms, latency_ms, "formula", "simulated")
    whole = Trial(
        number=number,
        tokens=(number,),
        architecture=Architecture.parse("cn_k3_c8"),
        state=TrialState.COMPLETE,
        reward=0.0,
        measurement=Measurement(1, 1, 4, latency, accuracy, "task"),
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def test_the_front_of_trials_leaves_out_what_did_not_complete_or_was_cached() -> None:
    unmeasured = Measurement(1, 1, 4)
    trials = [
        trial(0, 30, 0.8),
        trial(1, 10, 0.5),
        trial(2, 20, 0.4),  # dominated
        trial(3, 29, 0.8, cached=True),
        trial(4, 5, 0.9, state=TrialState.STOPPED),
        trial(5, 5, 0.9, state=TrialState.INFEASIBLE, measurement=unmeasured),
        trial(6, 5, 0.9, state=TrialState.FAILED, measurement=unmeasured),
        trial(7, 10, 0.5),  # equal to an earlier one
    ]
    assert [t.number for t in pareto_front(trials)] == [1, 0]
    assert pareto_front(iter(trials)) == pareto_front(trials)
    assert pareto_front([]) == []
