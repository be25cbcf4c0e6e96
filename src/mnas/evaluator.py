"""Proposal -> finished trial: decode, look up, measure, train, reward. Latency first: it takes seconds,
training minutes, and what is too slow is never trained."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mnas.accuracy import AccuracyEstimate, AccuracyEstimator
from mnas.activity import Activity, DeviceActivity
from mnas.devices import Device
from mnas.errors import CandidateError, DeviceError, SettingsError, StorageError, WorkerLostError
from mnas.executors import Executor, Finished, InProcessExecutor, ThreadExecutor
from mnas.judging import cached, counted, drafted, failed, judged, trained
from mnas.objective import Latency, Objective
from mnas.space import Architecture, SearchSpace
from mnas.stopping import Evidence, StoppingRule
from mnas.storage import RunStorage
from mnas.trial import Proposal, Trial, TrialState

_DEVICE_WAITS = (1.0, 5.0, 20.0)  # seconds before each new try on a device that went away
_SHOWN = 20  # failures that are told
_AHEAD = 8  # workers for each trial that is measured and waits; more of them would know less of what was learnt
_PATIENCE_S = 1.0  # that a search which is stopped waits for what is being measured


@dataclass
class Evaluator:
    """Turns proposals into trials and stores each the moment it is finished.

        evaluator.submit(proposals)
        evaluator.finished(seconds=0.5)     # trials that have finished since; some seconds at most are waited for one

    Two queues: what is to be measured waits for the device, what is measured for the executor. All storing is done
    here, in the thread that calls. An architecture that an earlier trial evaluated is not evaluated again: its trial
    is `cached`; of two that are submitted at once, one waits for the other.
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
        info = self.device.info()
        self._device = info.fingerprint
        self._only_slot = info.name if info.slots == 1 else None  # it has no thread of its own, or one
        self._finished: list[Trial] = []  # and stored, to be handed out
        self._repeats: dict[str, list[Proposal]] = {}  # by the id of an architecture that is being evaluated
        self._evidence: dict[int, Evidence] = {}  # of what was told before the proposal, by number
        self._latest: Evidence | None = None  # and of how many trials; more are told in the same order
        self._learnt_from: int | None = None
        self._to_measure: dict[int, Trial] = {}
        self._measuring: dict[Future[Finished[Latency]], Trial] = {}
        self._to_train: dict[int, Trial] = {}
        self._training: dict[Future[Finished[AccuracyEstimate]], Trial] = {}
        self._meter: Executor | None = None  # runs measurements, from the first on
        self._retries = 0
        self._failures: deque[tuple[int, str]] = deque(maxlen=_SHOWN)

    def submit(self, proposals: Sequence[Proposal], told: Sequence[Trial] = (), known: int = 0) -> None:
        """Begin to evaluate proposals; which of their trainings end early follows from the first `known` trials told.

        Not from whatever is known by now: that depends on how fast things went, and on when a search was interrupted.
        """
        if self.stopping and known != self._learnt_from:
            self._latest = self.stopping.learn(told[:known], self.objective, self._device)
            self._learnt_from = known
        for proposal in sorted(proposals, key=lambda proposal: proposal.number):
            if self._latest is not None:
                self._evidence[proposal.number] = self._latest
            self._begin(proposal)

    def finished(self, seconds: float) -> list[Trial]:
        """Trials that were stored since the last call; where there is none, up to `seconds` are waited for one.

        Where jobs run in this very thread one of them runs, however long it takes.

        Raises:
            DeviceError: the device stayed away after several tries.
            StopError: there is nothing left to train on.
        """
        self._start()
        if not self._finished:
            running: list[Future[Any]] = [*self._measuring, *self._training]
            wait(running, timeout=seconds, return_when=FIRST_COMPLETED)
        self._collect()
        if not self._is_alone:  # workers that came free need not wait until the controller has learnt
            self._start()
        finished, self._finished = self._finished, []
        return finished

    def keep(self, error: BaseException) -> None:
        """Store what has finished when the search stops for this error; what goes on is lost.

        A measurement that is under way is waited for: all of them where the device went, for the others end soon
        too; else a second, for who presses Ctrl-C waits.
        """
        if self._meter is not None:
            self._meter.close()
        wait(self._measuring, timeout=None if isinstance(error, DeviceError) else _PATIENCE_S)
        with suppress(StorageError):  # most likely that which stops the search
            for future, draft in _without_error(self._measuring):
                self.storage.add_latency(draft.architecture.id, future.result().value)
            for future, trial in _without_error(self._training):
                self._store(self._trained(trial, future.result()))

    def measure(self, architecture: Architecture) -> Latency:
        """The architecture's latency on the device: the stored one, or a new one that is stored at once.

        Raises:
            MeasurementError: this architecture cannot be measured.
            DeviceError: the device stayed away after several tries.
            SettingsError: there is a cap on something that the device does not tell.
        """
        stored = self._stored(architecture)
        return stored or self._keep(architecture, self._patiently(architecture))

    def window(self) -> int:
        """How many proposals keep all workers and the device busy, with some measured that wait for a worker."""
        workers = self.executor.workers
        return workers + self.device.info().slots + -(-workers // _AHEAD)

    def activity(self, is_asynchronous: bool) -> Activity:
        """What goes on; another thread may ask while this one measures or trains."""
        # A copy is made in one go, while what it is made of may change at any moment.
        measuring = sum(future.running() for future in list(self._measuring))
        training = sum(future.running() for future in list(self._training))
        here = [isinstance(each, InProcessExecutor) and each.is_busy for each in (self._meter, self.executor)]
        return Activity(
            is_asynchronous,
            {
                "to_measure": len(self._to_measure) + len(self._measuring) - measuring,
                "measuring": measuring + here[0],
                "to_train": len(self._to_train) + len(self._training) - training,
                "training": training + here[1],
            },
            tuple(self.executor.activity()),
            tuple(
                DeviceActivity(self._only_slot or slot.name, slot.trial, slot.since, slot.jobs, slot.busy_seconds)
                for slot in (self._meter.activity() if self._meter else ())
            ),
            self._retries,
            tuple(self._failures),
        )

    # -- from proposal to trial -----------------------------------------------------------------------------------

    def _begin(self, proposal: Proposal) -> None:
        if proposal.number in self.trials:  # stored by a search that was stopped before it was told
            self._finished.append(self.trials[proposal.number])
            return
        architecture = self.space.decode(proposal.tokens)
        original = self._originals.get(architecture.id)
        if original is not None:
            self._store(cached(original, proposal))
        elif architecture.id in self._repeats:
            self._repeats[architecture.id].append(proposal)
        else:
            self._repeats[architecture.id] = []
            self._go_on(drafted(proposal, architecture, self.objective, self.seed))

    def _go_on(self, trial: Trial) -> None:
        """With a trial that is COMPLETE as far as it goes to its next step; with any other to its end."""
        if trial.state is not TrialState.COMPLETE:
            self._store(trial)
        elif trial.latency_ms is not None:
            self._to_train[trial.number] = trial
        elif (known := self._stored(trial.architecture)) is not None:
            self._go_on(judged(trial, self.objective, known))
        else:
            self._to_measure[trial.number] = trial

    def _start(self) -> None:
        """Start what can be started; all measurements before any training, where nothing may go on beside one."""
        if self._to_measure and not (self._training and self._is_alone):
            self._start_measuring()
        if self._to_train and not (self._is_alone and (self._to_measure or self._measuring)):
            self._start_training()

    def _start_measuring(self) -> None:
        if self._meter is None:
            self._meter = self._new_meter()
        while self._to_measure and not (self._measuring and isinstance(self._meter, InProcessExecutor)):
            draft = self._to_measure.pop(min(self._to_measure))
            self._measuring[self._meter.submit(self._patiently, draft.architecture, key=draft.number)] = draft

    def _start_training(self) -> None:
        while self._to_train and not (self._training and isinstance(self.executor, InProcessExecutor)):
            trial = self._to_train.pop(min(self._to_train))
            job: tuple[Any, ...] = (trial.architecture, trial.seed)
            if (evidence := self._evidence.get(trial.number)) is not None:
                job += (evidence.below(trial.latency_ms or 0.0),)
            self._training[self.executor.submit(self.estimator.estimate, *job, key=trial.number)] = trial

    def _collect(self) -> None:
        """Store what has finished, and go on with it."""
        for measurement in [future for future in self._measuring if future.done()]:
            self._go_on(self._measured(self._measuring.pop(measurement), measurement))
        for training in [future for future in self._training if future.done()]:
            trial = self._training.pop(training)
            try:
                self._store(self._trained(trial, training.result()))
            except WorkerLostError as error:
                self._try_again(trial, error)
            except CandidateError as error:
                self._store(failed(trial, str(error)))

    def _try_again(self, trial: Trial, error: WorkerLostError) -> None:
        if trial.attempts <= self.executor.limits.retries:
            self._retries += 1
            self._to_train[trial.number] = replace(trial, attempts=trial.attempts + 1)
        else:
            why = f"{error}; it was tried {trial.attempts} times" if trial.attempts > 1 else str(error)
            self._store(failed(trial, why))

    def _trained(self, trial: Trial, found: Finished[AccuracyEstimate]) -> Trial:
        trial = replace(trial, worker=found.worker, train_seconds=found.seconds)
        epochs = self.stopping.epochs if self.stopping else None
        return trained(trial, self.objective, found.value, self.estimator.task, epochs)

    def _store(self, trial: Trial) -> Trial:
        self.storage.add_trial(trial)
        self.trials[trial.number] = trial
        self._finished.append(trial)
        self._evidence.pop(trial.number, None)
        if trial.state is TrialState.FAILED:
            self._failures.append((trial.number, trial.error or ""))
        if not trial.cached:
            self._originals[trial.architecture.id] = trial
            for repeat in self._repeats.pop(trial.architecture.id, ()):
                self._store(cached(trial, repeat))
        return trial

    # -- measuring ------------------------------------------------------------------------------------------------

    @cached_property
    def _is_alone(self) -> bool:
        """Whether nothing may go on beside a measurement: the device is what trains, or jobs run in this thread."""
        here = self.device.info().exclusive and self.executor.is_here
        return here or isinstance(self.executor, InProcessExecutor)

    def _new_meter(self) -> Executor:
        """Threads that measure; where one measurement at a time has the machine, this one, which Ctrl-C reaches."""
        info = self.device.info()
        if self._is_alone and info.slots == 1:
            return InProcessExecutor()
        return ThreadExecutor(info.slots, lambda slot: f"{info.name} {slot}")

    def _patiently(self, architecture: Architecture) -> Latency:
        for seconds in _DEVICE_WAITS:
            try:
                return self.device.measure(architecture)
            except DeviceError:
                time.sleep(seconds)
        return self.device.measure(architecture)

    def _measured(self, draft: Trial, future: Future[Finished[Latency]]) -> Trial:
        try:
            found = future.result()
        except CandidateError as failure:
            return judged(draft, self.objective, failure)
        latency = self._keep(draft.architecture, found.value)
        return judged(replace(draft, measure_seconds=found.seconds), self.objective, latency)

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


def _without_error(futures: dict[Future[Any], Trial]) -> Iterable[tuple[Future[Any], Trial]]:
    """Those that are done, and well."""
    return [
        (future, trial)
        for future, trial in futures.items()
        if future.done() and not future.cancelled() and future.exception() is None
    ]
