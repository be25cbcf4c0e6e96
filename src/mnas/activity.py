"""What a search does at a moment: its queues, its workers, its devices. For displays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mnas.executors import WorkerActivity

QUEUES = ("to_measure", "measuring", "to_train", "training")


@dataclass(frozen=True)
class DeviceActivity:
    """What one slot of a device does."""

    name: str
    trial: int | None  # that it measures; None where it waits
    since: float | None  # seconds since the epoch
    measurements: int  # it ended, this one apart
    busy_seconds: float  # in those


@dataclass(frozen=True)
class Activity:
    """What a search does at a moment."""

    asynchronous: bool  # finished trials are told one by one; else batches wait for their slowest
    queue: Mapping[str, int]  # how many trials are where, by `QUEUES`
    workers: tuple[WorkerActivity, ...]
    devices: tuple[DeviceActivity, ...]
    retries: int  # of trainings that lost their worker, by this process
    failures: tuple[tuple[int, str], ...]  # the last 20 trials that FAILED, and why

    @property
    def phase(self) -> str:
        """What is done, in words."""
        is_measuring = bool(self.queue["to_measure"] or self.queue["measuring"])
        is_training = bool(self.queue["training"])
        if is_measuring and is_training:
            return "measuring and training"
        return "measuring" if is_measuring else "training"
