"""What a search leaves behind, for programs and for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from mnas.objective import Latency
from mnas.pareto import Staircase, pareto_front
from mnas.space import Architecture
from mnas.trial import Trial, TrialState


@dataclass(frozen=True)
class Counts:
    """How many trials ended how. `distinct` networks were trained, of which `stopped` ones not to the end.

    `epochs` are those of whole trainings of all of them; `epochs_saved` of these were not trained.
    """

    trials: int
    distinct: int
    stopped: int
    cached: int
    infeasible: int
    failed: int
    epochs: int
    epochs_saved: int

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> Counts:
        """The counts of these trials."""
        return Tally(trials).counts


class Tally:
    """What a search counts of its trials, kept up trial by trial: one more costs the same after thousands."""

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self.best_reward: float | None = None  # of the COMPLETE ones
        self.front: Staircase[Trial] = Staircase()
        self._states: Counter[TrialState] = Counter()  # of those that are not cached
        self._cached = 0
        self._curves, self._epochs, self._longest = 0, 0, 0
        for trial in trials:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Count a trial."""
        self.count(trial.state, trial.cached, len(trial.curve))
        if trial.state is not TrialState.COMPLETE:
            return
        self.best_reward = trial.reward if self.best_reward is None else max(self.best_reward, trial.reward)
        if not trial.cached and trial.latency_ms is not None and trial.accuracy is not None:
            self.front.add(trial.latency_ms, trial.accuracy, trial)

    def count(self, state: TrialState, cached: bool, epochs: int) -> None:
        """Count how a trial ended, after so many epochs, and nothing else of it."""
        if cached:
            self._cached += 1
            return
        self._states[state] += 1
        self._curves += bool(epochs)
        self._epochs += epochs
        self._longest = max(self._longest, epochs)

    @property
    def counts(self) -> Counts:
        """How many trials ended how, so far."""
        states = self._states
        # Something is stopped only after whole trainings, so the longest curve is one.
        epochs = self._longest * self._curves
        return Counts(
            trials=self._cached + states.total(),
            distinct=states[TrialState.COMPLETE] + states[TrialState.STOPPED],
            stopped=states[TrialState.STOPPED],
            cached=self._cached,
            infeasible=states[TrialState.INFEASIBLE],
            failed=states[TrialState.FAILED],
            epochs=epochs,
            epochs_saved=epochs - self._epochs,
        )


@dataclass(frozen=True)
class Final:
    """One network of the final comparison: retrained with several seeds, measured once on the test split."""

    label: str  # "trial 17" or "mnasnet-a1 x0.55"
    architecture: Architecture
    latency: Latency
    accuracies: tuple[float, ...]  # fractions on the test split, one per seed
    low: float  # 95 % binomial interval of their mean for `test_images`
    high: float
    test_images: int
    is_winner: bool = False
    is_reference: bool = False

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return fmean(self.accuracies)


@dataclass(frozen=True)
class Rated:
    """A network whose accuracy is predicted, by two models, and whose latency was measured afresh to be compared."""

    label: str  # "trial 17" or "nearest to mnasnet-a1"
    architecture: Architecture
    latency: Latency
    accuracy: float  # predicted, a fraction
    accuracy_sd: float  # of one training
    second_accuracy: float  # by the second opinion


@dataclass(frozen=True)
class Comparison:
    """A reference network, and what the search found that dominates it."""

    reference: Rated
    faster: Rated | None  # the fastest that both models predict to be at least as accurate
    better: Rated | None  # the most accurate, by both, that is faster

    @property
    def speedup(self) -> float | None:
        """How many times faster at no less accuracy."""
        return self.reference.latency.latency_ms / self.faster.latency.latency_ms if self.faster else None

    @property
    def points(self) -> float | None:
        """How many points (percent) more accurate at no more latency, by the first model."""
        return 100 * (self.better.accuracy - self.reference.accuracy) if self.better else None

    @property
    def is_faster(self) -> bool:
        """Beyond the measured intervals."""
        return self.faster is not None and _is_faster(self.faster, self.reference)

    @property
    def is_better(self) -> bool:
        """More accurate by both models, and faster beyond the measured intervals."""
        return self.better is not None and _is_faster(self.better, self.reference)


def _is_faster(one: Rated, other: Rated) -> bool:
    return one.latency.high_ms < other.latency.low_ms


@dataclass(frozen=True)
class MeasuredFront:
    """What the device itself said in the end, where a search went by predicted latencies."""

    device: str  # its fingerprint
    latencies: Mapping[str, Latency]  # by the network's id
    dropped: Mapping[str, str]  # ids of networks that left the front, and why

    def difference(self, trial: Trial) -> float | None:
        """How much more than predicted was measured, relative; None for what was not measured."""
        latency = self.latencies.get(trial.architecture.id)
        if latency is None or trial.latency_ms is None:
            return None
        return latency.latency_ms / trial.latency_ms - 1


@dataclass(frozen=True)
class SearchResult:
    """The trials of a search, their front and their best, and where everything lies.

    >>> result = mnas.search(...)                                      # doctest: +SKIP
    >>> result.best.architecture.block_strings, result.best.accuracy   # doctest: +SKIP
    """

    name: str
    folder: Path
    target_ms: float
    objective: Mapping[str, Any]  # the reward's name, exponents and caps
    device: str  # the fingerprint that the latencies belong to
    task: str  # what the accuracies are of
    trials: tuple[Trial, ...]
    finals: tuple[Final, ...] = ()
    comparisons: tuple[Comparison, ...] = ()  # with references, where accuracies are predicted
    reach_ms: tuple[float, float] = (0.0, 0.0)  # latencies that the space was found to reach
    seconds: float = 0.0  # of the search itself, final training apart
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    measured: MeasuredFront | None = None  # where `device` predicts: the front, measured in the end

    @cached_property
    def front(self) -> list[Trial]:
        """The Pareto-optimal trials, by rising latency."""
        return pareto_front(trial for trial in self.trials if self._stands(trial))

    @cached_property
    def best(self) -> Trial | None:
        """The trial of the highest reward; None when none was completed."""
        complete = [t for t in self.trials if t.state is TrialState.COMPLETE and self._stands(t)]
        return max(complete, key=lambda trial: (trial.reward, -trial.number), default=None)

    @cached_property
    def counts(self) -> Counts:
        """How many trials ended how."""
        return Counts.of(self.trials)

    def _stands(self, trial: Trial) -> bool:
        """Whether its latency is of this device, and the measured front did not drop it."""
        latency = trial.measurement.latency
        is_dropped = self.measured is not None and trial.architecture.id in self.measured.dropped
        return latency is not None and latency.device == self.device and not is_dropped


def part_names(trials: Iterable[Trial]) -> tuple[str, ...]:
    """The devices of which these trials' latencies are the worst, by name; none where one device measured."""
    latencies = (trial.measurement.latency for trial in trials)
    return tuple(dict.fromkeys(name for latency in latencies if latency for name in latency.parts))
