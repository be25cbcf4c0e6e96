"""THE LOOP: ask, evaluate, tell, until the budget is spent. Start reading here.

    search space -> controller samples tokens -> architecture -> latency -> accuracy -> reward
    -> trial stored -> controller learns -> Pareto front

Resume is not a feature beside the loop, it is the loop: whatever the journal holds is replayed into a fresh
controller first, and then the loop goes on from there, be it from nothing or from the middle of a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mnas.activity import Activity
from mnas.controllers import Controller
from mnas.errors import StopError, StorageError
from mnas.evaluator import Evaluator
from mnas.pareto import pareto_front
from mnas.result import Counts
from mnas.storage import Ask, RunStorage
from mnas.trial import Proposal, Trial, TrialState


@dataclass(frozen=True)
class Progress:
    """How far a search is, for a display."""

    phase: str
    total: int
    counts: Counts
    best_reward: float | None
    front_size: int
    seconds_left: float | None
    activity: Activity | None = None


Watch = Callable[[Progress], None]


def progress(trials: Sequence[Trial], total: int, phase: str, seconds_left: float | None = None) -> Progress:
    """The progress that these trials make of `total`."""
    rewards = [trial.reward for trial in trials if trial.state is TrialState.COMPLETE]
    front = pareto_front(trials)
    return Progress(phase, total, Counts.of(list(trials)), max(rewards, default=None), len(front), seconds_left)


@dataclass
class SearchLoop:
    """One search of `total` trials over what its parts are."""

    controller: Controller
    evaluator: Evaluator
    storage: RunStorage
    total: int
    watch: Watch = lambda progress: None
    may_ask: Callable[[], bool] = lambda: True  # False once a budget is spent: what is open is finished, then it ends
    _told: int = field(default=0, init=False)

    def run(self) -> None:
        """Search until `total` trials are told. All results are in the storage.

        Raises:
            StorageError: the journal does not replay: it was made by another controller.
            StopError: every trial of a batch failed for the same reason.
            DeviceError: the device stayed away.
        """
        self._began, self._had = time.monotonic(), len(self.evaluator.trials)
        batch = self._replay()
        while batch or self._told < self.total:
            if not batch:
                if not self.may_ask():
                    return
                batch = self._ask()
            self._evaluate(batch)
            self._tell(batch)
            batch = ()

    def _ask(self) -> tuple[Proposal, ...]:
        wanted = min(self.controller.batch, self.total - self._told)
        numbered = enumerate(self.controller.ask(wanted), start=self._told)
        batch = tuple(Proposal(number, tokens) for number, tokens in numbered)
        self.storage.add_ask(batch)
        return batch

    def _evaluate(self, batch: Sequence[Proposal]) -> None:
        finished = []
        for trial in self.evaluator.evaluate(batch, self._show):
            finished.append(trial)
            self._show("training")
        errors = {trial.error for trial in finished if trial.state is TrialState.FAILED}
        failed = all(trial.state is TrialState.FAILED for trial in finished)
        if failed and len(errors) == 1 and len(finished) > 1:
            raise StopError(
                f"all {len(finished)} trials of a batch failed alike, so the search stops: {errors.pop()}"
            )

    def _tell(self, batch: Sequence[Proposal]) -> None:
        trials = [self.evaluator.trials[proposal.number] for proposal in batch]
        summary = self.controller.tell(trials)
        self.storage.add_tell(trials, summary)
        self._told += len(batch)

    def _replay(self) -> tuple[Proposal, ...]:
        """Bring the controller to where the journal ends; the proposals that were asked but not told."""
        open_batch: tuple[Proposal, ...] = ()
        for entry in self.storage.journal():
            if isinstance(entry, Ask):
                self._replay_ask(entry)
                open_batch = entry.proposals
            else:
                self.controller.tell([self.evaluator.trials[number] for number in entry.numbers])
                self._told += len(entry.numbers)
                open_batch = ()
        return open_batch

    def _replay_ask(self, entry: Ask) -> None:
        stored = [proposal.tokens for proposal in entry.proposals]
        again = self.controller.ask(len(stored))
        if again != stored:
            raise StorageError(
                f"{self.storage.path.parent} does not replay: at trial {entry.proposals[0].number} the controller "
                "now proposes something else. It was made by other versions (see [versions] in run.toml); "
                "install those to go on"
            )

    def _show(self, phase: str) -> None:
        trials = list(self.evaluator.trials.values())
        done = len(trials) - self._had
        rate = (time.monotonic() - self._began) / done if done else None
        left = rate * (self.total - len(trials)) if rate is not None else None
        self.watch(progress(trials, self.total, phase, left))
