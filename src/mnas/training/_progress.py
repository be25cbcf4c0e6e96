"""Progress: how far a training is."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a training is, after a step."""

    epoch: int  # from 1
    step: int  # done, over the whole training
    steps: int  # of the whole training
    images_per_second: float  # of this process group since it began, evaluations left out
    seconds_left: float  # at the speed so far, evaluations included
    loss: float  # of the step
    learning_rate: float


class Pace:
    """Tells speed and time left from the steps that this process has seen."""

    def __init__(self, first_step: int, steps: int, batch: int) -> None:
        self._first, self._steps, self._batch = first_step, steps, batch
        self._began = time.perf_counter()
        self.evaluating = 0.0  # seconds

    def progress(self, epoch: int, step: int, loss: float, learning_rate: float) -> Progress:
        """After `step` steps."""
        seconds, done = time.perf_counter() - self._began, step - self._first
        training = max(seconds - self.evaluating, 1e-9)
        left = (self._steps - step) * seconds / done
        return Progress(epoch, step, self._steps, done * self._batch / training, left, loss, learning_rate)
