"""THE LOOP: ask, evaluate, tell, until the budget is spent. Start reading here.

    search space -> controller samples tokens -> architecture -> latency -> accuracy -> reward
    -> trial stored -> controller learns -> Pareto front

Resume is not a feature beside the loop, it is the loop: whatever the journal holds is replayed into a fresh
controller first, and then the loop goes on from there, be it from nothing or from the middle of a batch.

A synchronous search asks for a batch and tells it when all of it has finished. An asynchronous one keeps as many
proposals open as the workers and the device need, and tells what has finished as it does: nobody waits for the
slowest. The journal keeps asks and tells in their order, so either replays to where it stood.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mnas.activity import Activity
from mnas.controllers import Controller, is_asynchronous
from mnas.errors import StorageError
from mnas.evaluator import Evaluator
from mnas.failures import FailureWatch
from mnas.result import Counts, Tally
from mnas.snapshots import Snapshots
from mnas.storage import Ask, RunStorage
from mnas.trial import Proposal, Trial

_LOOK_S = 0.5  # between two looks at what has finished, and so between two calls of `watch`
_FRESH = 50  # parts of what was told, of which stopping may lack the latest in an asynchronous search
_MOST_OF_A_BATCH = 0.75  # where one is told without its stragglers, which come with the next


@dataclass(frozen=True)
class Progress:
    """How far a search is, for a display."""

    phase: str
    total: int
    counts: Counts
    best_reward: float | None
    front_size: int
    seconds_left: float | None
    activity: Activity | None = None  # what goes on; None where nobody knows


Watch = Callable[[Progress], None]


def progress(trials: Iterable[Trial], total: int, phase: str) -> Progress:
    """The progress that these trials make of `total`."""
    tally = Tally(trials)
    return Progress(phase, total, tally.counts, tally.best_reward, len(tally.front.items), None)


class SearchLoop:
    """One search of `total` trials over what its parts are."""

    def __init__(
        self,
        controller: Controller,
        evaluator: Evaluator,
        storage: RunStorage,
        total: int,
        watch: Watch = lambda progress: None,
        asynchronous: bool = False,
        may_ask: Callable[[], bool] = lambda: True,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.controller, self.evaluator, self.storage = controller, evaluator, storage
        self.total, self.watch, self.asynchronous = total, watch, asynchronous
        self.may_ask = may_ask  # False once a budget is spent: what is open is finished, then the search ends
        self.snapshots = snapshots  # None: the controller's state is not kept, and all is replayed
        self._asked = 0
        self._open: dict[int, Proposal] = {}  # asked and not told
        self._finished: list[Trial] = []  # of these
        self._told: list[Trial] = []  # in the order told
        self._failures = FailureWatch(evaluator.executor.workers, batch=None if asynchronous else controller.batch)

    def run(self) -> None:
        """Search until `total` trials are told. All results are in the storage.

        Raises:
            StorageError: the journal does not replay: it was made by another controller.
            StopError: trial after trial failed for the same reason.
            DeviceError: the device stayed away.
        """
        self._began, self._had = time.monotonic(), len(self.evaluator.trials)
        self._tally = Tally(self.evaluator.trials.values())
        try:
            self._replay()
            self._ask()
            while self._open:
                self._evaluate()
                self._tell()
                self._ask()
        except BaseException as error:
            self.evaluator.keep(error)
            raise
        if self.snapshots:
            self.snapshots.keep(self.controller, is_last=True)

    def _ask(self) -> None:
        wanted = min(self._window() - len(self._open), self.total - self._asked)
        if wanted < 1 or (self._open and not self.asynchronous) or not self.may_ask():
            return
        numbered = enumerate(self.controller.ask(wanted), start=self._asked)
        proposals = tuple(Proposal(number, tokens) for number, tokens in numbered)
        self.storage.add_ask(proposals)
        self._note_asked(proposals)
        self.evaluator.submit(proposals, self._told, known=self._lessons(len(self._told)))

    def _evaluate(self) -> None:
        """Wait until enough has finished to be told."""
        while len(self._finished) < self._enough():
            for trial in self.evaluator.finished(_LOOK_S):
                self._finished.append(trial)
                if trial.number not in self._stored:
                    self._tally.add(trial)
                    self._failures.add(trial)
            self._show()

    def _tell(self) -> None:
        trials = sorted(self._finished, key=lambda trial: trial.number)
        summary = self.controller.tell(trials)
        self.storage.add_tell(trials, summary)
        self._note_told(trials)
        self._finished = []
        if self.snapshots:
            self.snapshots.keep(self.controller)

    def _window(self) -> int:
        """How many proposals are open at once."""
        batch = self.controller.batch
        if not self.asynchronous:
            return batch
        return self.evaluator.window() if is_asynchronous(self.controller) else max(batch, self.evaluator.window())

    def _enough(self) -> int:
        """How many finished trials are told together."""
        if not self.asynchronous:
            return len(self._open)
        most = math.ceil(_MOST_OF_A_BATCH * self.controller.batch)
        return min(len(self._open), 1 if is_asynchronous(self.controller) else most)

    def _lessons(self, told: int) -> int:
        """How many of the trials told say which trainings end early: all of them before a batch.

        Where proposals are asked one by one, the latest fiftieth may be lacking: to learn from thousands anew at each
        ask would cost more and more.
        """
        return told - told % max(1, told // _FRESH) if self.asynchronous else told

    def _note_asked(self, proposals: Sequence[Proposal]) -> None:
        self._open |= {proposal.number: proposal for proposal in proposals}
        self._asked += len(proposals)

    def _note_told(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            del self._open[trial.number]
        self._told += trials

    # -- going on with what the journal holds ---------------------------------------------------------------------

    def _replay(self) -> None:
        """Bring the controller to where the journal ends, and begin what was asked and not told."""
        self._stored = set(self.evaluator.trials)
        asks: list[tuple[Ask, int]] = []  # and how many trials were told before each
        journal, known = list(self.storage.journal()), self.evaluator.trials
        behind = self.snapshots.restore(self.controller, journal, known) if self.snapshots else 0
        for place, entry in enumerate(journal):
            if isinstance(entry, Ask):
                if place >= behind:
                    self._replay_ask(entry)
                self._note_asked(entry.proposals)
                asks.append((entry, len(self._told)))
            else:
                trials = [known[number] for number in entry.numbers]
                if place >= behind:
                    self.controller.tell(trials)
                self._note_told(trials)
        for ask, told in asks:
            still_open = [proposal for proposal in ask.proposals if proposal.number in self._open]
            if still_open:
                self.evaluator.submit(still_open, self._told, known=self._lessons(told))

    def _replay_ask(self, entry: Ask) -> None:
        stored = [proposal.tokens for proposal in entry.proposals]
        again = self.controller.ask(len(stored))
        if again != stored:
            raise StorageError(
                f"{self.storage.path.parent} does not replay: at trial {entry.proposals[0].number} the controller "
                "now proposes something else. It was made by other versions (see [versions] in run.toml); "
                "install those to go on"
            )

    def _show(self) -> None:
        activity, counts = self.evaluator.activity(self.asynchronous), self._tally.counts
        done = counts.trials - self._had
        rate = (time.monotonic() - self._began) / done if done else None
        left = rate * (self.total - counts.trials) if rate is not None else None
        best, front = self._tally.best_reward, len(self._tally.front.items)
        self.watch(Progress(activity.phase, self.total, counts, best, front, left, activity))
