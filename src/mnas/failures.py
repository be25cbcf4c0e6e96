"""When a search stops because nothing works any more, rather than to spend its budget on failures."""

from __future__ import annotations

import math

from mnas.errors import StopError
from mnas.trial import Trial, TrialState

_ROW = 5  # failures alike, one after the other, at least
_BY_CHANCE = 1e-6  # a longer row where candidates fail now and then: chance alone would give one so seldom


class FailureWatch:
    """Looks at trials as they finish: whether they all fail alike.

    A row of max(5, workers) trials that FAILED with one error is enough where hardly any failed before; a whole
    batch, where batches are smaller. Where many candidates fail, rows come by chance, and what stops a search is a
    row that is longer than those.

    Raises:
        StopError: by `add`, with the error.
    """

    def __init__(self, workers: int, batch: int | None = None) -> None:
        self._least = batch if batch is not None and 1 < batch < _ROW else max(_ROW, workers)
        self._row: list[Trial] = []
        self._failed, self._finished = 0, 0  # before the row

    def add(self, trial: Trial) -> None:
        """Look at a trial; those that tried nothing, cached and INFEASIBLE ones, say nothing."""
        if trial.cached or trial.state is TrialState.INFEASIBLE:
            return
        if trial.state is not TrialState.FAILED or (self._row and self._row[-1].error != trial.error):
            self._failed += len(self._row)
            self._finished += len(self._row) + (trial.state is not TrialState.FAILED)
            self._row = []
        if trial.state is TrialState.FAILED:
            self._row.append(trial)
            if len(self._row) >= self._enough():
                raise StopError(f"the last {len(self._row)} trials failed alike, so the search stops: {trial.error}")

    def _enough(self) -> int:
        if not self._finished:
            return self._least
        rate = (self._failed + 1) / (self._finished + 2)
        return max(self._least, math.ceil(math.log(_BY_CHANCE) / math.log(rate)))
