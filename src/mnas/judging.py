"""What becomes of a trial, step by step: its counts, its latency, its accuracy, and its reward. No effects here."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

from mnas.accuracy import AccuracyEstimate
from mnas.errors import CandidateError
from mnas.objective import Latency, Measurement, Objective
from mnas.space import Architecture, count_madds, count_params, peak_activation_bytes, weight_bytes
from mnas.trial import Proposal, Trial, TrialState


def drafted(proposal: Proposal, architecture: Architecture, objective: Objective, seed: int) -> Trial:
    """A trial with its counts: INFEASIBLE where one of them is above its cap, else not measured yet.

    `seed` is the search's.
    """
    trial = Trial(
        number=proposal.number,
        tokens=proposal.tokens,
        architecture=architecture,
        state=TrialState.COMPLETE,
        reward=0.0,
        measurement=counted(architecture),
        seed=training_seed(seed, proposal.number),
        started=time.time(),
    )
    return judged(trial, objective)


def judged(trial: Trial, objective: Objective, latency: Latency | CandidateError | None = None) -> Trial:
    """The trial with what measuring gave, COMPLETE as far as it goes; FAILED or INFEASIBLE if it ends here."""
    trial = replace(trial, finished=time.time())
    if isinstance(latency, Latency):
        trial = replace(trial, measurement=replace(trial.measurement, latency=latency))
    trial = replace(trial, reward=objective.failure_reward(trial.measurement))
    if isinstance(latency, CandidateError):
        return failed(trial, str(latency))
    violations = objective.caps.violations(trial.measurement)
    return replace(trial, state=TrialState.INFEASIBLE, error="; ".join(violations)) if violations else trial


def trained(trial: Trial, objective: Objective, found: AccuracyEstimate, task: str, epochs: int | None) -> Trial:
    """The trial with its accuracy and its reward; STOPPED where the training ended before all `epochs`."""
    state = TrialState.COMPLETE
    if found.stopped and epochs is not None:
        task += f", stopped after {len(found.curve)} of {epochs} epochs"
        state = TrialState.STOPPED
    measurement = replace(trial.measurement, accuracy=found.accuracy, task=task)
    reward, now = objective.reward(measurement), time.time()
    return replace(trial, finished=now, state=state, measurement=measurement, reward=reward, curve=found.curve)


def failed(trial: Trial, why: str) -> Trial:
    """The trial as FAILED."""
    return replace(trial, finished=time.time(), state=TrialState.FAILED, error=why)


def cached(original: Trial, proposal: Proposal) -> Trial:
    """The trial of a proposal whose architecture an earlier one evaluated."""
    now = time.time()
    return replace(
        original,
        number=proposal.number,
        tokens=proposal.tokens,
        cached=True,
        curve=(),
        started=now,
        finished=now,
        attempts=1,
        worker="",
        measure_seconds=0.0,
        train_seconds=0.0,
    )


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
