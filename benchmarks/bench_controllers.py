"""Milliseconds of ask + tell per trial in the paper's space (42 decisions), beside two samplers of Optuna.

    python benchmarks/bench_controllers.py [--trials 8000]

Each controller runs one search from its first trial to the last; what is told is the median per trial over the
hundred trials before the 100th, the 1,000th and the 8,000th. Evaluating a trial costs nothing here: rewards
are a formula of the tokens, and only ask and tell are timed. For Optuna, ask is `study.ask` and 42 times
`suggest_categorical`, with in-memory storage.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Sequence

import optuna

from mnas.controllers import PPO, Controller, RandomSearch, RegularizedEvolution, Reinforce
from mnas.objective import Measurement
from mnas.space import Tokens, mnasnet_space
from mnas.trial import Trial, TrialState

SPACE = mnasnet_space()
MARKS = (100, 1_000, 8_000)
WINDOW = 100  # trials before a mark that are timed
LIMITS_MS = {"ppo": 5.0, "evolution": 1.0, "random": 1.0}
ARCHITECTURE = SPACE.decode((0,) * len(SPACE.choices))


def reward(tokens: Tokens) -> float:
    return sum(tokens) / 100


def finished(number: int, tokens: Tokens) -> Trial:
    measurement = Measurement(1, 1, 4)  # controllers read tokens, state and reward
    return Trial(number, tokens, ARCHITECTURE, TrialState.COMPLETE, reward(tokens), measurement)


class Timed:
    """One search that keeps the time of each ask + tell."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.per_trial_ms: list[float] = []

    def step(self) -> None:
        started = time.perf_counter()
        proposals = self.controller.ask(self.controller.batch)
        asked = time.perf_counter()
        trials = [finished(len(self.per_trial_ms) + i, tokens) for i, tokens in enumerate(proposals)]
        told = time.perf_counter()
        self.controller.tell(trials)
        seconds = (asked - started) + (time.perf_counter() - told)
        self.per_trial_ms += [1e3 * seconds / len(trials)] * len(trials)


class TimedOptuna:
    """The same for a sampler of Optuna, which asks for one trial at a time."""

    def __init__(self, sampler: optuna.samplers.BaseSampler) -> None:
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        self.per_trial_ms: list[float] = []

    def step(self) -> None:
        started = time.perf_counter()
        trial = self.study.ask()
        tokens = [trial.suggest_categorical(c.name, range(len(c.options))) for c in SPACE.choices]
        self.study.tell(trial, reward(tuple(tokens)))
        self.per_trial_ms.append(1e3 * (time.perf_counter() - started))


def marks_of(search: Timed | TimedOptuna, marks: Sequence[int]) -> list[float]:
    while len(search.per_trial_ms) < max(marks):
        search.step()
    return [statistics.median(search.per_trial_ms[mark - WINDOW : mark]) for mark in marks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=max(MARKS), help="how far to go (default: 8000)")
    last = parser.parse_args().trials
    marks = [mark for mark in MARKS if mark < last] + [last]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searches: dict[str, Timed | TimedOptuna] = {
        "ppo": Timed(PPO(SPACE)),
        "reinforce": Timed(Reinforce(SPACE)),
        "evolution": Timed(RegularizedEvolution(SPACE)),
        "random": Timed(RandomSearch(SPACE)),
        "optuna random": TimedOptuna(optuna.samplers.RandomSampler(seed=0)),
        "optuna nsga-ii": TimedOptuna(optuna.samplers.NSGAIISampler(seed=0)),
    }
    print(f"ask + tell per trial, ms, after {' / '.join(f'{mark:,}' for mark in marks)} trials")
    table = {}
    for name, search in searches.items():
        table[name] = [round(ms, 4) for ms in marks_of(search, marks)]
        limit = f"  (at most {LIMITS_MS[name]:g})" if name in LIMITS_MS else ""
        print(f"  {name:15}" + "".join(f"{ms:10.3f}" for ms in table[name]) + limit, flush=True)
    print(
        json.dumps(
            {
                "benchmark": "controllers",
                "unit": "ms per trial",
                "trials": marks,
                "results": table,
                "optuna": optuna.__version__,
                "python": platform.python_version(),
                "machine": platform.machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
