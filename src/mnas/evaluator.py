"""Proposal -> finished trial: decode, look up, measure, train, reward. Latency first: it takes seconds,
training minutes, and what is too slow is never trained."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnas.accuracy import AccuracyEstimate, AccuracyEstimator
from mnas.devices import Device
from mnas.errors import CandidateError, DeviceError, MeasurementError, SettingsError
from mnas.executors import Executor
from mnas.objective import Latency, Measurement, Objective
from mnas.space import Architecture, SearchSpace, count_madds, count_params, peak_activation_bytes, weight_bytes
from mnas.stopping import StoppingRule
from mnas.storage import RunStorage
from mnas.trial import Proposal, Trial, TrialState

_DEVICE_WAITS = (1.0, 5.0, 20.0)  # seconds before each new try on a device that went away


@dataclass
class Evaluator:
    """Turns proposals into trials and stores each the moment it is finished.

    An architecture that an earlier trial evaluated is not evaluated again: its trial is `cached`.
    """

    space: SearchSpace
    objective: Objective
    device: Device
    estimator: AccuracyEstimator
    executor: Executor
    storage: RunStorage
    seed: int
    stopping: StoppingRule | None = None  # when trainings end early; only with a StoppableEstimator

    def __post_init__(self) -> None:
        self.trials = {trial.number: trial for trial in self.storage.trials()}
        self._originals = {t.architecture.id: t for t in self.trials.values() if not t.cached}
        self._device = self.device.info().fingerprint

    def evaluate(
        self, proposals: Sequence[Proposal], watch: Callable[[str], None] = lambda phase: None
    ) -> Iterator[Trial]:
        """The trials of a batch as they finish; afterwards `self.trials` has them all.

        The whole batch is measured before any of it is trained: a measurement has the machine to itself.

        Raises:
            DeviceError: the device stayed away after several tries.
        """
        candidates = {p.number: self.space.decode(p.tokens) for p in proposals}
        tokens = {p.number: p.tokens for p in proposals}
        waiting = [number for number in sorted(candidates) if number not in self.trials]
        firsts: dict[str, int] = {}
        for number in waiting:
            firsts.setdefault(candidates[number].id, number)
        fresh = [n for identity, n in sorted(firsts.items(), key=lambda i: i[1]) if identity not in self._originals]

        to_train: dict[int, Trial] = {}
        for index, number in enumerate(fresh, start=1):
            watch(f"measuring {index} of {len(fresh)}")
            trial = self._measured(number, tokens[number], candidates[number])
            if trial.state is TrialState.COMPLETE:
                to_train[number] = trial
            else:
                yield self._store(trial)
        watch(f"training {len(to_train)}")
        jobs = self._jobs(to_train, first=min(candidates, default=0))
        for number, outcome in self.executor.run(self.estimator.estimate, jobs):
            yield self._store(self._trained(to_train[number], outcome))
        for number in waiting:
            if number not in self.trials:
                yield self._store(self._cached(number, tokens[number], candidates[number]))

    def measure(self, architecture: Architecture) -> Latency:
        """The architecture's latency on the device: the stored one, or a new one that is stored at once.

        Raises:
            MeasurementError: this architecture cannot be measured.
            DeviceError: the device stayed away after several tries.
            SettingsError: there is a cap on something that the device does not tell.
        """
        stored = self.storage.latency(architecture.id, self._device)
        if stored is None:
            stored = self._patiently(architecture)
            self.storage.add_latency(architecture.id, stored)
        self._check_caps(architecture, stored)
        return stored

    def _check_caps(self, architecture: Architecture, latency: Latency) -> None:
        """Every cap is on something that was measured: else it would hold for nothing, silently."""
        missing = self.objective.caps.unmeasured(replace(counted(architecture), latency=latency))
        if missing:
            raise SettingsError(
                f"{', '.join(missing)} cannot be kept on {latency.device!r}, which does not tell it. max_file_mb "
                "needs a device that converts networks to files, max_energy_mj one with a meter, and energy = true "
                "under [device]"
            )

    def _patiently(self, architecture: Architecture) -> Latency:
        for wait in _DEVICE_WAITS:
            try:
                return self.device.measure(architecture)
            except DeviceError:
                time.sleep(wait)
        return self.device.measure(architecture)

    def _measured(self, number: int, tokens: tuple[int, ...], architecture: Architecture) -> Trial:
        """A trial with its latency, COMPLETE as far as it goes; FAILED or INFEASIBLE if it ends here."""
        started = time.time()
        measurement = counted(architecture)
        state, error = TrialState.COMPLETE, None
        # What a count already rules out is not worth a measurement.
        violations = self.objective.caps.violations(measurement)
        if not violations:
            try:
                measurement = replace(measurement, latency=self.measure(architecture))
                violations = self.objective.caps.violations(measurement)
            except MeasurementError as failure:
                state, error = TrialState.FAILED, str(failure)
        if violations:
            state, error = TrialState.INFEASIBLE, "; ".join(violations)
        return Trial(
            number=number,
            tokens=tokens,
            architecture=architecture,
            state=state,
            reward=self.objective.failure_reward(measurement),
            measurement=measurement,
            error=error,
            seed=training_seed(self.seed, number),
            started=started,
            finished=time.time(),
        )

    def _jobs(self, to_train: Mapping[int, Trial], first: int) -> dict[int, tuple[Any, ...]]:
        """Arguments of the trainings of a batch that begins with trial `first`."""
        jobs: dict[int, tuple[Any, ...]] = {n: (trial.architecture, trial.seed) for n, trial in to_train.items()}
        if self.stopping is None:
            return jobs
        # Not from this batch: what of it is known depends on when a search was interrupted.
        told = [trial for number, trial in self.trials.items() if number < first]
        evidence = self.stopping.learn(told, self.objective, self._device)
        return {n: (*job, evidence.below(to_train[n].latency_ms or 0.0)) for n, job in jobs.items()}

    def _trained(self, trial: Trial, outcome: AccuracyEstimate | CandidateError) -> Trial:
        trial = replace(trial, finished=time.time())
        if isinstance(outcome, CandidateError):
            return replace(trial, state=TrialState.FAILED, error=str(outcome))
        task, state = self.estimator.task, TrialState.COMPLETE
        if outcome.stopped and self.stopping:
            task += f", stopped after {len(outcome.curve)} of {self.stopping.epochs} epochs"
            state = TrialState.STOPPED
        measurement = replace(trial.measurement, accuracy=outcome.accuracy, task=task)
        reward = self.objective.reward(measurement)
        return replace(trial, state=state, measurement=measurement, reward=reward, curve=outcome.curve)

    def _cached(self, number: int, tokens: tuple[int, ...], architecture: Architecture) -> Trial:
        now = time.time()
        original = self._originals[architecture.id]
        return replace(original, number=number, tokens=tokens, cached=True, curve=(), started=now, finished=now)

    def _store(self, trial: Trial) -> Trial:
        self.storage.add_trial(trial)
        self.trials[trial.number] = trial
        if not trial.cached:
            self._originals[trial.architecture.id] = trial
        return trial


def counted(architecture: Architecture) -> Measurement:
    """What is known of an architecture before anything is measured."""
    return Measurement(
        count_params(architecture),
        count_madds(architecture),
        weight_bytes(architecture),
        peak_activation_bytes=peak_activation_bytes(architecture),
    )


def training_seed(seed: int, number: int) -> int:
    """The seed of a trial's training: the same on every machine, whatever was trained before."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4])
