"""What a search will take and cost, from the first of its own trials: nothing is spent on a rehearsal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from mnas.budget import Budget, Spent
from mnas.trial import Trial, TrialState

_LEAST = 5  # trials that an estimate rests on, at least; more where more workers begin at once


class DeclinedError(KeyboardInterrupt):
    """The estimate was not agreed to: the search stops as by Ctrl-C, with all that is finished stored."""


@dataclass(frozen=True)
class Range:
    """What is expected, with a 95 % interval."""

    expected: float
    low: float
    high: float

    def __add__(self, more: float) -> Range:
        return Range(self.expected + more, self.low + more, self.high + more)

    def __mul__(self, factor: float) -> Range:
        return Range(self.expected * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Pace:
    """How a search uses its machines.

    `takes_turns`: nothing is trained while something is measured. `final_trainings`: the comparison at the end, in
    whole trainings of the search.
    """

    workers: int
    slots: int = 1  # measurements at once
    takes_turns: bool = True
    final_trainings: float = 0.0

    def seconds(self, trial: Trial) -> tuple[float, float]:
        """Of wall time, what a trial takes of the device and of the workers."""
        return trial.measure_seconds / self.slots, trial.train_seconds / self.workers


@dataclass(frozen=True)
class Estimate:
    """What a whole search is expected to take, what it took so far included."""

    trials: int  # the first so many it rests on
    total: int
    trained: int  # of them
    train_seconds: float  # of each of these, on average
    measure_seconds: float  # of each trial, on average
    hours: Range  # of wall time, the final comparison included
    final_hours: float  # of it
    device_hours: Range  # of measuring
    accelerator_hours: Range  # of training, summed over the workers
    money: Range
    currency: str


Decide = Callable[[Estimate], bool]


def first_trials(trials: Mapping[int, Trial], total: int, pace: Pace) -> list[Trial]:
    """The trials that an estimate of a search rests on; empty until all of them are finished.

    The first by number: those that finish first are the quick ones.
    """
    numbers = range(min(max(_LEAST, pace.workers), total))
    return [trials[number] for number in numbers] if all(number in trials for number in numbers) else []


def estimate(first: Sequence[Trial], total: int, pace: Pace, budget: Budget, spent: Spent) -> Estimate:
    """What a search of `total` trials takes and costs, judging by its first trials.

    Each kind of time is a sum over trials, of which cached, infeasible and failed ones are their share. Its interval
    is that of the sum of those still to come (Student's t of the sums of as many normal values); where the first
    trials are few or differ much, it is wide. What it does not see: trainings that end early once enough is known,
    and controllers that find what is slower or faster to train.
    """
    left = total - spent.trials
    trained = [trial for trial in first if trial.train_seconds]
    whole = [trial.train_seconds for trial in trained if trial.state is TrialState.COMPLETE]
    measuring = _sum_of([trial.measure_seconds for trial in first], left)
    training = _sum_of([trial.train_seconds for trial in first], left)
    final = pace.final_trainings * fmean(whole) if whole else 0.0
    hours = _wall(first, pace, left) * (1 / 3600) + spent.hours
    worker_hours, device_hours = hours * pace.workers, measuring * (1 / 3600) + spent.device_hours
    final_hours = final / pace.workers / 3600
    return Estimate(
        trials=len(first),
        total=total,
        trained=len(trained),
        train_seconds=fmean(trial.train_seconds for trial in trained) if trained else 0.0,
        measure_seconds=fmean(trial.measure_seconds for trial in first),
        hours=hours + final_hours,
        final_hours=final_hours,
        device_hours=device_hours,
        accelerator_hours=training * (1 / 3600) + spent.accelerator_hours + final / 3600,
        money=_cost(budget, hours + final_hours, worker_hours + final / 3600, device_hours),
        currency=budget.currency,
    )


def _wall(first: Sequence[Trial], pace: Pace, left: int) -> Range:
    """Seconds of the trials that are left: of both queues together, or of the longer one."""
    measuring, training = zip(*map(pace.seconds, first), strict=True)
    if pace.takes_turns:
        return _sum_of([sum(pair) for pair in zip(measuring, training, strict=True)], left)
    return _sum_of(max(measuring, training, key=fmean), left)


def _sum_of(values: Sequence[float], count: int) -> Range:
    """The sum of `count` more values like these."""
    if count <= 0:
        return Range(0.0, 0.0, 0.0)
    expected, half = fmean(values) * count, math.inf  # one value says nothing of how they differ
    if len(values) > 1:
        spread = stdev(values) * math.sqrt(count + count**2 / len(values))
        half = _t_quantile(len(values) - 1) * spread
    return Range(expected, max(0.0, expected - half), expected + half)


def _t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit  # takes a moment to import

    return float(stdtrit(freedom, 0.975))


def _cost(budget: Budget, hours: Range, worker_hours: Range, device_hours: Range) -> Range:
    ends = ("expected", "low", "high")
    return Range(*(budget.cost(*(getattr(r, end) for r in (hours, worker_hours, device_hours))) for end in ends))
