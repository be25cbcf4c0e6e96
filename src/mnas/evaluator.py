"""Proposal -> finished trial: decode, look up, measure, train, reward. Latency first: it takes seconds,
training minutes, and what is too slow is never trained."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
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
        drafts = (self._draft(number, tokens[number], candidates[number]) for number in fresh)
        watch(f"measuring {len(fresh)}")
        for index, trial in enumerate(self._measured(drafts), start=1):
            watch(f"measured {index} of {len(fresh)}")
            if trial.state is TrialState.COMPLETE:
                to_train[trial.number] = trial
            else:
                yield self._store(trial)
        to_train = dict(sorted(to_train.items()))  # several measured side by side are not finished in their order
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
        stored = self._stored(architecture)
        return stored or self._keep(architecture, self._patiently(architecture))

    def _stored(self, architecture: Architecture) -> Latency | None:
        found = self.storage.latency(architecture.id, self._device)
        if found is not None:
            self._check_caps(architecture, found)
        return found

    def _keep(self, architecture: Architecture, latency: Latency) -> Latency:
        self.storage.add_latency(architecture.id, latency)
        self._check_caps(architecture, latency)
        return latency

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

    def _draft(self, number: int, tokens: tuple[int, ...], architecture: Architecture) -> Trial:
        """A trial with its counts: INFEASIBLE where one of them is above its cap, else not measured yet."""
        trial = Trial(
            number=number,
            tokens=tokens,
            architecture=architecture,
            state=TrialState.COMPLETE,
            reward=0.0,
            measurement=counted(architecture),
            seed=training_seed(self.seed, number),
            started=time.time(),
        )
        return self._judged(trial)

    def _judged(self, trial: Trial, latency: Latency | MeasurementError | None = None) -> Trial:
        """The trial with what measuring gave, COMPLETE as far as it goes; FAILED or INFEASIBLE if it ends here."""
        trial = replace(trial, finished=time.time())
        if isinstance(latency, Latency):
            trial = replace(trial, measurement=replace(trial.measurement, latency=latency))
        trial = replace(trial, reward=self.objective.failure_reward(trial.measurement))
        if isinstance(latency, MeasurementError):
            return replace(trial, state=TrialState.FAILED, error=str(latency))
        violations = self.objective.caps.violations(trial.measurement)
        return replace(trial, state=TrialState.INFEASIBLE, error="; ".join(violations)) if violations else trial

    def _measured(self, drafts: Iterable[Trial]) -> Iterator[Trial]:
        """The drafts as they are measured, those that a count rules out among them: they are not worth it."""
        slots = self.device.info().slots
        if slots > 1:
            yield from self._measured_side_by_side(drafts, slots)
            return
        for draft in drafts:
            if draft.state is not TrialState.COMPLETE:
                yield draft
                continue
            try:
                latency: Latency | MeasurementError = self.measure(draft.architecture)
            except MeasurementError as failure:
                latency = failure
            yield self._judged(draft, latency)

    def _measured_side_by_side(self, drafts: Iterable[Trial], slots: int) -> Iterator[Trial]:
        """The same with so many threads. They measure; all storing is done here, each latency when it is made."""
        waiting: dict[Future[Latency], Trial] = {}
        with ThreadPoolExecutor(slots) as threads:
            try:
                for draft in drafts:
                    if draft.state is not TrialState.COMPLETE:
                        yield draft
                    elif (known := self._stored(draft.architecture)) is not None:
                        yield self._judged(draft, known)
                    else:
                        waiting[threads.submit(self._patiently, draft.architecture)] = draft
                for future in as_completed(list(waiting)):
                    yield self._collected(waiting.pop(future), future)
            finally:
                # A device that is gone, or Ctrl-C: what is being measured is waited for and kept.
                threads.shutdown(cancel_futures=True)
                for future, draft in waiting.items():
                    if not future.cancelled() and future.exception() is None:
                        self._keep(draft.architecture, future.result())

    def _collected(self, draft: Trial, future: Future[Latency]) -> Trial:
        try:
            return self._judged(draft, self._keep(draft.architecture, future.result()))
        except MeasurementError as failure:
            return self._judged(draft, failure)

    def _jobs(self, to_train: Mapping[int, Trial], first: int) -> dict[int, tuple[Any, ...]]:
        """Arguments of the trainings of a batch that begins with trial `first`."""
        jobs: dict[int, tuple[Any, ...]] = {n: (trial.architecture, trial.seed) for n, trial in to_train.items()}
        if self.stopping is None:
            return jobs
        # Not from this batch: what of it is known depends on when a search was interrupted.
        told = [self.trials[number] for number in sorted(self.trials) if number < first]
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
