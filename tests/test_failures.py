"""Promises of the early stop: nothing works any more, and the search says so instead of going on."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mnas.errors import StopError
from mnas.failures import FailureWatch
from mnas.space import mnasnet_space
from mnas.testing import simulated_trial
from mnas.trial import Trial, TrialState

SPACE = mnasnet_space()
GOOD = simulated_trial(SPACE, 0, (0,) * len(SPACE.choices))


def failed(error: str = "no GPU left") -> Trial:
    return replace(GOOD, state=TrialState.FAILED, error=error)


def until_stopped(watch: FailureWatch, trial: Trial) -> int:
    """After how many such trials it stops."""
    for number in range(1, 1000):
        try:
            watch.add(trial)
        except StopError:
            return number
    return 1000


def test_the_reason_is_said():
    watch = FailureWatch(1)
    for _ in range(4):
        watch.add(failed())
    with pytest.raises(StopError, match="the last 5 trials failed alike, so the search stops: no GPU left"):
        watch.add(failed())


@pytest.mark.parametrize(
    ("workers", "batch", "row"), [(1, None, 5), (64, None, 64), (1, 20, 5), (1, 3, 3), (1, 1, 5)]
)
def test_a_row_of_failures_from_the_start_is_enough(workers, batch, row):
    assert until_stopped(FailureWatch(workers, batch), failed()) == row


def test_what_tried_nothing_says_nothing():
    watch = FailureWatch(1)
    for _ in range(4):
        watch.add(failed())
        watch.add(replace(failed(), cached=True))
        watch.add(replace(GOOD, state=TrialState.INFEASIBLE, error="too slow"))
    with pytest.raises(StopError):
        watch.add(failed())


def test_other_errors_and_successes_break_a_row():
    watch = FailureWatch(1)
    for _ in range(40):
        for trial in (failed(), failed(), failed(), failed("another"), GOOD):
            watch.add(trial)


def test_candidates_that_fail_now_and_then_stop_nothing():
    """A false alarm in 2,000 trials: once in 500 tries, by the rate that is allowed."""
    watch, chance = FailureWatch(1), random.Random(0)
    for _ in range(2000):
        watch.add(failed() if chance.random() < 0.4 else GOOD)
    assert 5 < until_stopped(watch, failed()) < 40
