"""When to end a training early: when it is unlikely to join the front of latency and accuracy.

Successive halving (Jamieson and Talwalkar 2016) looks at trainings after a few epochs, the rungs, and goes on with
the best. By accuracy alone it stops what is quick, for quick networks are less accurate: it kills the front. Here a
training is judged against its own place on the front, the best accuracy known of what is as quick, and it is ended
only if two things hold:

- what trainings of this search grew to from such an accuracy says that it will not get there (`Forecast`);
- it lies in the worse part of what was seen at that rung, so that even a wrong forecast cannot stop most.

Both follow from trials that were told before a batch, never from the batch itself: how fast its trainings finish
changes nothing, and a resumed search decides as one that never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from mnas.accuracy import StopBelow
from mnas.errors import SettingsError
from mnas.objective import Objective
from mnas.pareto import pareto_front
from mnas.trial import Trial, TrialState

_LEAST = 5  # curves that a line can be drawn through, with something left to say how well it fits
_LEAST_SD = 0.005  # of residuals: few curves may lie on a line by luck
_HALVINGS = 40  # of the interval in which a threshold is looked for


@dataclass(frozen=True)
class StoppingRule:
    """Says of each training below which accuracy it ends, and after which epochs that is looked at.

        rule = StoppingRule(epochs=12)
        rule.rungs                                          # (1, 3, 6)
        evidence = rule.learn(trials, objective, device)    # trials told before this batch
        evidence.below(latency_ms=0.31)                     # StopBelow(thresholds=((3, 0.41), (6, 0.83)))

    Args:
        epochs: of a whole training.
        factor: the rungs are at epochs / factor, epochs / factor^2, ...; at each rung at most the worse
            1 - 1 / factor of what was seen there is stopped.
        risk: one-sided, of a forecast: the chance that a training whose forecast just falls short would have
            joined the front.
        first: nothing is stopped before so many whole curves are known.

    Raises:
        SettingsError: a setting is out of its range.
    """

    epochs: int
    factor: int = 2
    risk: float = 0.05
    first: int = 12

    def __post_init__(self) -> None:
        expected = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "factor": (self.factor >= 2, "at least 2"),
            "risk": (0 < self.risk < 0.5, "above 0 and below 0.5"),
            "first": (self.first >= _LEAST, f"at least {_LEAST}"),
        }
        for name, (holds, words) in expected.items():
            if not holds:
                raise SettingsError(f"stopping: {name} should be {words}, got {getattr(self, name)!r}")

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which trainings are looked at, rising; none where there are fewer than `factor`."""
        rungs, epoch = [], self.epochs // self.factor
        while epoch >= 1:
            rungs.append(epoch)
            epoch //= self.factor
        return tuple(reversed(rungs))

    def learn(self, told: Iterable[Trial], objective: Objective, device: str) -> Evidence:
        """What told trials say. Latencies of another device than this fingerprint count for nothing."""
        trained = [
            trial
            for trial in sorted(told, key=lambda trial: trial.number)
            if trial.state in (TrialState.COMPLETE, TrialState.STOPPED)
            and not trial.cached
            and None not in trial.curve
        ]
        whole = [trial for trial in trained if trial.state is TrialState.COMPLETE and len(trial.curve) == self.epochs]
        if len(whole) < self.first:
            return Evidence((), (), objective)
        here = [trial for trial in trained if _measured_on(trial, device)]
        front = tuple(pareto_front(here))
        rungs = [self._rung(epoch, whole, here, Evidence(front, (), objective)) for epoch in self.rungs]
        return Evidence(front, tuple(rung for rung in rungs if rung), objective)

    def _rung(self, epoch: int, whole: Sequence[Trial], here: Sequence[Trial], known: Evidence) -> Rung | None:
        pairs = [(_at(trial, epoch), _at(trial, self.epochs)) for trial in whole]
        forecast = Forecast.of(pairs, self.risk)
        margins = sorted(known.margin(trial, epoch) for trial in here if len(trial.curve) >= epoch)
        worse = int(len(margins) * (1 - 1 / self.factor))
        return Rung(epoch, forecast, margins[worse - 1]) if forecast and worse else None


@dataclass(frozen=True)
class Rung:
    """An epoch after which trainings are looked at."""

    epoch: int
    forecast: Forecast
    margin: float  # accuracy here less one's place on the front: only what is below this may be stopped


@dataclass(frozen=True)
class Evidence:
    """What the trials told so far say of the next ones."""

    front: tuple[Trial, ...]
    rungs: tuple[Rung, ...]
    objective: Objective

    def below(self, latency_ms: float) -> StopBelow:
        """Below which accuracies a training of a network of this latency ends; empty where nothing is as quick."""
        place = self.place(latency_ms)
        if place is None:
            return StopBelow()
        found = [(rung.epoch, min(rung.forecast.needed(place), place + rung.margin)) for rung in self.rungs]
        return StopBelow(tuple((epoch, accuracy) for epoch, accuracy in found if accuracy > 0))

    def place(self, latency_ms: float, without: Trial | None = None) -> float | None:
        """The accuracy that joins the front at a latency: the best of what is as quick; None if nothing is.

        A reward may prefer the slower of two networks (`AbsoluteReward` below its target). What is quicker counts
        only where that is no loss of reward, so that what falls short of it is not the best one either.
        """
        score = self.objective.score
        return max(
            (
                accuracy
                for trial in self.front
                if trial is not without
                and (quick := trial.latency_ms or 0.0) <= latency_ms
                and score(accuracy := trial.accuracy or 0.0, quick) >= score(accuracy, latency_ms)
            ),
            default=None,
        )

    def margin(self, trial: Trial, epoch: int) -> float:
        """How far a told trial was above its place on the front of the others then; mostly below, so negative."""
        place = self.place(trial.latency_ms or 0.0, without=trial)
        return math.inf if place is None else _at(trial, epoch) - place


@dataclass(frozen=True)
class Forecast:
    """Final accuracies as they follow from those at one epoch: a line, and how far off it they may be.

    On the scale arcsine of the square root, where the sampling error of an accuracy is the same everywhere and
    nothing is infinite at 0 and 1. The bound is that of a prediction by simple linear regression: it is wide
    where curves are few, and away from those that are known.
    """

    slope: float
    early: float  # mean of the accuracies at the epoch, on the scale
    final: float  # mean of the final ones
    spread: float  # sum of squares of the early ones about their mean
    width: float  # Student's quantile x the residuals' standard deviation
    count: int

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]], risk: float) -> Forecast | None:
        """From pairs of an accuracy at the epoch and a final one; None where the first does not tell the second.

        That is so where the slope is not significantly above zero: a lower accuracy would not lower the bound.
        """
        from scipy.special import stdtrit  # quantiles of Student's t; looking at a run does not wait for scipy

        early, final = [_scaled(x) for x, _ in pairs], [_scaled(y) for _, y in pairs]
        mean_x, mean_y = fmean(early), fmean(final)
        spread = math.fsum((x - mean_x) ** 2 for x in early)
        if spread == 0:
            return None
        slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(early, final, strict=True)) / spread
        residuals = [y - mean_y - slope * (x - mean_x) for x, y in zip(early, final, strict=True)]
        freedom = len(pairs) - 2
        sd = max(math.sqrt(math.fsum(r * r for r in residuals) / freedom), _LEAST_SD)
        width = float(stdtrit(freedom, 1 - risk)) * sd
        if slope <= width / math.sqrt(spread):
            return None
        return cls(slope, mean_x, mean_y, spread, width, len(pairs))

    def highest(self, accuracy: float) -> float:
        """The upper bound of the final accuracy of a training that has this one at the epoch."""
        return math.sin(min(self._bound(_scaled(accuracy)), math.pi / 2)) ** 2

    def needed(self, final: float) -> float:
        """The lowest accuracy at the epoch from which this final one is not out of reach."""
        goal, low, high = _scaled(final), 0.0, math.pi / 2
        if self._bound(low) >= goal:
            return 0.0
        for _ in range(_HALVINGS):  # the bound rises with the accuracy, see `of`
            middle = (low + high) / 2
            low, high = (low, middle) if self._bound(middle) >= goal else (middle, high)
        return math.sin(low) ** 2

    def _bound(self, early: float) -> float:
        away = early - self.early
        factor = math.sqrt(1 + 1 / self.count + away**2 / self.spread)
        return self.final + self.slope * away + self.width * factor


def _scaled(accuracy: float) -> float:
    return math.asin(math.sqrt(accuracy))


def _at(trial: Trial, epoch: int) -> float:
    accuracy = trial.curve[epoch - 1]
    assert accuracy is not None
    return accuracy


def _measured_on(trial: Trial, device: str) -> bool:
    return trial.measurement.latency is not None and trial.measurement.latency.device == device
