"""Trial: one proposal, what became of it, and what it was worth."""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mnas.objective import Measurement
from mnas.space import Architecture, Tokens


class TrialState(enum.StrEnum):
    """How a trial ended. Every state counts as a trial and is told to the controller."""

    COMPLETE = "COMPLETE"  # measured and trained
    STOPPED = "STOPPED"  # training ended early: unlikely to join the front
    INFEASIBLE = "INFEASIBLE"  # above a cap; never trained
    FAILED = "FAILED"  # no latency or no accuracy; `error` says why


@dataclass(frozen=True)
class Proposal:
    """What a controller asks to try: one token per choice of the space."""

    number: int
    tokens: Tokens


@dataclass(frozen=True, slots=True)  # slots: reading thousands of trials is bound by memory, and they halve it
class Trial:
    """A finished trial. Frozen; survives a round trip through storage."""

    number: int
    tokens: Tokens
    architecture: Architecture
    state: TrialState
    reward: float  # see Objective.failure_reward for FAILED and INFEASIBLE
    measurement: Measurement
    cached: bool = False  # the architecture was evaluated by an earlier trial; nothing was trained
    curve: tuple[float | None, ...] = ()  # accuracy after each epoch of training; None where not finite
    error: str | None = None
    seed: int = 0  # of the training
    started: float = 0.0  # seconds since the epoch
    finished: float = 0.0
    attempts: int = 1  # trainings begun; above 1 where workers were lost
    worker: str = ""  # that trained it, as "host:process id"
    measure_seconds: float = 0.0  # on the device, without waiting for it
    train_seconds: float = 0.0  # in the worker, without waiting for one

    @property
    def accuracy(self) -> float | None:
        """Fraction; None unless trained."""
        return self.measurement.accuracy

    @property
    def latency_ms(self) -> float | None:
        """None unless measured."""
        return self.measurement.latency_ms

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with null in place of what is not finite."""
        data = asdict(self)
        data["architecture"] = str(self.architecture)
        data["curve"] = [v if v is not None and math.isfinite(v) else None for v in self.curve]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trial:
        """The inverse of `to_dict`."""
        return cls(
            **{
                **data,
                "worker": sys.intern(data.get("worker", "")),
                "tokens": tuple(data["tokens"]),
                "architecture": Architecture.parse(data["architecture"]),
                "state": TrialState(data["state"]),
                "measurement": Measurement.from_dict(data["measurement"]),
                "curve": tuple(data["curve"]),
            }
        )
