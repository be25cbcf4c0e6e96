"""One search of an experiment: the loop of mnas without its journal, on surrogates that answer in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from _oracle import Floats, Oracle, word

from mnas.controllers import PPO, Controller, Guided, RandomSearch, RegularizedEvolution
from mnas.objective import Latency, Measurement, Objective
from mnas.space import Architecture, SearchSpace, Tokens
from mnas.trial import Trial, TrialState


@dataclass(frozen=True)
class Searched:
    """All trials of a search, in their order; accuracies are fractions."""

    tokens: tuple[Tokens, ...]
    architectures: tuple[Architecture, ...]
    accuracies: Floats  # (trials,), as `latencies` and `rewards`
    latencies: Floats
    rewards: Floats

    @property
    def best(self) -> int:
        """The first trial with the highest reward."""
        return int(self.rewards.argmax())

    @property
    def digest(self) -> str:
        """Equal for searches that proposed the same networks in the same order."""
        return hashlib.sha256(" ".join(map(word, self.tokens)).encode()).hexdigest()[:12]

    def distinct(self, trials: int | None = None) -> int:
        """How many different networks the first trials tried."""
        return len(set(self.tokens[:trials]))


def search(
    controller: str, space: SearchSpace, objective: Objective, oracle: Oracle, seed: int, trials: int
) -> Searched:
    """Let a controller, with its defaults, search a space whose networks are all in `accel-nasbench`."""
    searcher = _controller(controller, space, objective, seed)
    told: list[Trial] = []
    known: dict[Tokens, tuple[Architecture, Measurement]] = {}
    while len(told) < trials:
        proposals = searcher.ask(searcher.batch)
        fresh = [tokens for tokens in dict.fromkeys(proposals) if tokens not in known]
        known.update(zip(fresh, _measured(space, fresh, oracle), strict=True))
        batch: list[Trial] = []
        for tokens in proposals:
            architecture, measurement = known[tokens]
            reward, number = objective.reward(measurement), len(told) + len(batch)
            batch.append(Trial(number, tokens, architecture, TrialState.COMPLETE, reward, measurement))
        searcher.tell(batch)
        told += batch
    return _searched(told[:trials])


def _controller(name: str, space: SearchSpace, objective: Objective, seed: int) -> Controller:
    if name == "guided":
        return Guided(space, seed, objective=objective)
    kinds: dict[str, Callable[..., Controller]] = {
        "ppo": PPO,
        "evolution": RegularizedEvolution,
        "random": RandomSearch,
    }
    return kinds[name](space, seed)


def _measured(
    space: SearchSpace, proposals: Sequence[Tokens], oracle: Oracle
) -> list[tuple[Architecture, Measurement]]:
    """What the surrogates say of some networks."""
    architectures = [space.decode(tokens) for tokens in proposals]
    if not architectures:
        return []
    accuracies, latencies = oracle(architectures)
    return [
        # The controllers of these experiments do not look at the counts.
        (architecture, Measurement(1, 1, 4, Latency(ms, ms, ms, "surrogate", oracle.device), accuracy))
        for architecture, accuracy, ms in zip(architectures, accuracies.tolist(), latencies.tolist(), strict=True)
    ]


def _searched(trials: Sequence[Trial]) -> Searched:
    return Searched(
        tuple(trial.tokens for trial in trials),
        tuple(trial.architecture for trial in trials),
        np.array([trial.accuracy for trial in trials], dtype=np.float64),
        np.array([trial.latency_ms for trial in trials], dtype=np.float64),
        np.array([trial.reward for trial in trials], dtype=np.float64),
    )
