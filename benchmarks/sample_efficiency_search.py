"""One search of `sample_efficiency.py`, and its scores: what a row of the table of results holds."""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from sample_efficiency_oracle import REWARDS, SPACE, Oracle, best_known
from sample_efficiency_rivals import RIVALS, Chooser, Rival, Searcher

from mnas.objective import Latency, Measurement
from mnas.pareto import front_indices, hypervolume
from mnas.space import Tokens
from mnas.trial import Trial, TrialState

MARKS = (100, 300, 1_000, 8_000)
FIELDS = (
    *("controller", "device", "oracle", "noise", "goal", "searched", "seed", "trials"),
    *(f"{what}_{mark}" for what in ("at", "distinct", "ms") for mark in MARKS),
    "winner_300",
    "curve",
)
_ARCHITECTURE = SPACE.decode((0,) * len(SPACE.choices))  # stands for every network where a searcher looks at none


@dataclass(frozen=True)
class Job:
    """A search: who, of what, for which goal."""

    controller: str
    device: str
    oracle: str
    noise: float  # standard deviation of the accuracies that are told, in points
    searched: str  # the goal: "soft", "hard" or "front"
    seed: int
    trials: int

    @property
    def scored(self) -> tuple[str, ...]:
        """The goals that it has a row for: its own, and those that its searcher does not know."""
        goals = RIVALS[self.controller].goals
        if goals == ("front",):
            return ("soft", "hard", "front")
        if "front" not in goals and self.searched == "soft":
            return ("soft", "front")
        return (self.searched,)

    def key(self, goal: str) -> tuple[str, ...]:
        """What names its row for a goal."""
        return (self.controller, self.device, self.oracle, f"{self.noise:g}", goal, self.searched, str(self.seed))


@dataclass
class History:
    """All trials of a search. Lists run over trials; accuracies are fractions."""

    trials: list[Trial] = field(default_factory=list)  # as told, with noisy accuracies
    accuracies: list[float] = field(default_factory=list)  # without the noise
    latencies: list[float] = field(default_factory=list)
    distinct: list[int] = field(default_factory=list)  # networks so far
    seconds: list[float] = field(default_factory=list)  # of ask and tell, so far
    chosen: dict[int, int] = field(default_factory=dict)  # mark -> the trial that the searcher would choose then


class Evaluation:
    """Networks -> trials, in batches through the surrogates; one that was evaluated before is cached."""

    def __init__(self, job: Job, oracle: Oracle, rival: Rival) -> None:
        self._job, self._oracle, self._rival = job, oracle, rival
        self._objective = oracle.objective("hard" if job.searched == "hard" else "soft")
        self._known: dict[Tokens, tuple[float, float, float]] = {}  # accuracy, latency, accuracy with noise

    def __call__(self, proposals: Sequence[Tokens], history: History) -> list[Trial]:
        """The trials of a batch, which join the history."""
        fresh = list(dict.fromkeys(tokens for tokens in proposals if tokens not in self._known))
        if fresh:
            for tokens, accuracy, latency in zip(fresh, *self._oracle(np.array(fresh)), strict=True):
                self._known[tokens] = (float(accuracy), float(latency), float(accuracy) + self._noise(tokens))
        begun, trials, count = set(fresh), [], history.distinct[-1] if history.distinct else 0
        for tokens in proposals:
            accuracy, latency, observed = self._known[tokens]
            trials.append(self._trial(len(history.trials), tokens, latency, observed, tokens not in begun))
            count += tokens in begun
            begun.discard(tokens)
            history.trials.append(trials[-1])
            history.accuracies.append(accuracy)
            history.latencies.append(latency)
            history.distinct.append(count)
        return trials

    def _trial(self, number: int, tokens: Tokens, latency: float, observed: float, cached: bool) -> Trial:
        architecture = SPACE.decode(tokens) if self._rival.needs_architectures else _ARCHITECTURE
        measurement = Measurement(1, 1, 4, Latency(latency, latency, latency, "surrogate", "oracle"), observed)
        reward = self._objective.score(observed, latency)
        return Trial(number, tokens, architecture, TrialState.COMPLETE, reward, measurement, cached)

    def _noise(self, tokens: Tokens) -> float:
        """Of one training: the same for a network within a search, whenever it is proposed."""
        if not self._job.noise:
            return 0.0
        digest = hashlib.sha256(bytes((self._job.seed % 256, *tokens))).digest()
        return float(np.random.default_rng(list(digest)).normal(0, self._job.noise / 100))


def search(job: Job) -> list[dict[str, str]]:
    """Search, and the rows of it."""
    oracle, rival = Oracle(job.device, job.oracle), RIVALS[job.controller]
    searcher = rival.make(job.seed, job.searched, oracle)
    evaluate, history = Evaluation(job, oracle, rival), History()
    spent = 0.0
    while len(history.trials) < job.trials:
        # Time of the process and not of the clock: another process on the machine is not the searcher's fault.
        began = time.process_time()
        proposals = searcher.ask()
        spent += time.process_time() - began
        trials = evaluate(proposals, history)
        began = time.process_time()
        searcher.tell(trials)
        spent += time.process_time() - began
        history.seconds += [spent] * len(trials)
        if job.noise:
            _choose(searcher, history)
    return [row(job, goal, history, oracle) for goal in job.scored]


def _choose(searcher: Searcher, history: History) -> None:
    """At each mark let a searcher that can tell luck from worth choose among the trials so far."""
    told = len(history.trials)
    for mark in (100, 130, *MARKS[1:]):
        if mark <= told and mark not in history.chosen and isinstance(searcher, Chooser):
            choice = searcher.choose(history.trials[:mark])
            if choice is not None:
                history.chosen[mark] = choice.number


def row(job: Job, goal: str, history: History, oracle: Oracle) -> dict[str, str]:
    """What the CSV holds of a search for one goal."""
    score = reward_curve if goal in REWARDS else front_curve
    steps = [(n, value) for n, value in score(job, goal, history, oracle) if n <= job.trials]
    cells = dict(zip(FIELDS, (*job.key(goal), str(job.trials)), strict=False))
    for mark in MARKS:
        reached = mark <= job.trials
        cells[f"at_{mark}"] = f"{value_at(steps, mark):.4f}" if reached else ""
        cells[f"distinct_{mark}"] = str(history.distinct[mark - 1]) if reached else ""
        cells[f"ms_{mark}"] = f"{1e3 * history.seconds[mark - 1] / mark:.3f}" if reached else ""
    if job.trials >= 300 and goal in REWARDS:
        told = oracle.rewards(goal, [t.accuracy for t in history.trials[:300]], history.latencies[:300])
        cells["winner_300"] = "".join(map(str, history.trials[int(told.argmax())].tokens))
    cells["curve"] = " ".join(f"{n}:{value:.4f}" for n, value in steps)
    return cells


def reward_curve(job: Job, goal: str, history: History, oracle: Oracle) -> Iterator[tuple[int, float]]:
    """(trials, regret in points) whenever it changes: of the network with the best reward told so far, or of the
    one that the searcher chose at a mark.

    Noise plays no part in the regret itself: a network chosen for its luck is scored by what it is.
    """
    optimum = best_known(job.device, job.oracle)[goal]["reward"]
    told = oracle.rewards(goal, [trial.accuracy for trial in history.trials], history.latencies)
    true = oracle.rewards(goal, np.array(history.accuracies), history.latencies)
    if history.chosen:
        yield from ((mark, 100 * (optimum - float(true[index]))) for mark, index in history.chosen.items())
        return
    best = -np.inf
    for index in np.flatnonzero(told >= np.maximum.accumulate(told)):
        if told[index] > best:
            best = told[index]
            yield int(index) + 1, 100 * (optimum - float(true[index]))


def front_curve(job: Job, goal: str, history: History, oracle: Oracle) -> Iterator[tuple[int, float]]:
    """(trials, hypervolume of the front told so far as a part of the best known) where it changes, at some trials."""
    whole = best_known(job.device, job.oracle)["front"]["hypervolume"]
    kept: list[int] = []  # trials on the front
    before, last = 0, -1.0
    for mark in grid(job.trials):
        kept += range(before, min(mark, len(history.trials)))
        told = [(history.latencies[i], history.trials[i].accuracy or 0.0) for i in kept]
        kept = [kept[place] for place in front_indices(told)]
        area = hypervolume([(history.latencies[i], history.accuracies[i]) for i in kept], oracle.reference) / whole
        if round(area, 4) != last:
            last = round(area, 4)
            yield mark, area
        before = mark


def grid(trials: int) -> list[int]:
    """Where hypervolume is computed: every eighth more trials or so, and at the marks."""
    steps = itertools.takewhile(lambda n: n < trials, (round(10 * 1.12**k) for k in itertools.count()))
    return sorted({*steps, *(mark for mark in (*MARKS, 130, 3_000) if mark <= trials), trials})


def value_at(steps: Sequence[tuple[int, float]], mark: int) -> float:
    """A curve's value after so many trials."""
    return [value for n, value in steps if n <= mark][-1] if steps and steps[0][0] <= mark else math.nan
