"""The searchers that `sample_efficiency.py` compares: mnas' controllers, Optuna's samplers, pymoo.

A searcher is made for one of three goals: "soft" or "hard", a reward, or "front". Those that know rewards alone
search no front: the benchmark counts the front that a search for the soft reward leaves. Those that know the
front alone search no reward: it counts the best rewards on their way.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import optuna
import torch
from sample_efficiency_oracle import SIZES, SPACE, Oracle

from mnas import controllers
from mnas.controllers import PPO, Controller
from mnas.controllers._policy import IndependentPolicy
from mnas.space import SearchSpace, Tokens
from mnas.trial import Trial

GOALS = ("soft", "hard", "front")
PYMOO_POPULATION = 50  # as Optuna's and ours


class Searcher(Protocol):
    """Asked for some networks, told what became of them. Only these two are timed."""

    def ask(self) -> list[Tokens]: ...

    def tell(self, trials: Sequence[Trial]) -> None: ...


@runtime_checkable
class Chooser(Protocol):
    """A searcher that chooses among noisy trials by more than the reward told."""

    def choose(self, trials: Sequence[Trial]) -> Trial | None: ...


class Ours:
    """A controller of mnas."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller

    def ask(self) -> list[Tokens]:
        return self.controller.ask(self.controller.batch)

    def tell(self, trials: Sequence[Trial]) -> None:
        self.controller.tell(trials)


class Choosing(Ours):
    """A controller of mnas with a predictor, which chooses by its mean."""

    controller: controllers.Guided

    def choose(self, trials: Sequence[Trial]) -> Trial | None:
        return self.controller.best()


class IndependentPPO(PPO):
    """PPO on independent softmaxes in place of the LSTM."""

    def __init__(self, space: SearchSpace, seed: int, *, batch: int, learning_rate: float, entropy: float) -> None:
        super().__init__(space, seed, batch=batch, entropy_weight=entropy)
        self._policy = IndependentPolicy(space)  # type: ignore[assignment]
        self._optimizer = torch.optim.Adam(self._policy.parameters(), lr=learning_rate)


class Optuna:
    """A sampler of Optuna by its own interface, one trial at a time."""

    def __init__(self, sampler: optuna.samplers.BaseSampler, goal: str) -> None:
        self._front = goal == "front"
        directions: list[Literal["maximize", "minimize"]] = ["maximize", "minimize"]
        self._study = optuna.create_study(directions=directions if self._front else ["maximize"], sampler=sampler)

    def ask(self) -> list[Tokens]:
        self._trial = self._study.ask()
        return [tuple(self._trial.suggest_categorical(c.name, range(len(c.options))) for c in SPACE.choices)]

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            values = (trial.accuracy or 0.0, trial.latency_ms or 0.0) if self._front else trial.reward
            self._study.tell(self._trial, values)


class Pymoo:
    """pymoo's NSGA-II on whole numbers, set up as its documentation shows for them."""

    def __init__(self, seed: int) -> None:
        repair = _of_pymoo("operators.repair.rounding", "RoundingRepair")()
        crossover = _of_pymoo("operators.crossover.sbx", "SBX")
        mutation = _of_pymoo("operators.mutation.pm", "PM")
        self._algorithm = _of_pymoo("algorithms.moo.nsga2", "NSGA2")(
            pop_size=PYMOO_POPULATION,
            sampling=_of_pymoo("operators.sampling.rnd", "IntegerRandomSampling")(),
            crossover=crossover(prob=1.0, eta=3.0, vtype=float, repair=repair),
            mutation=mutation(prob=1.0, eta=3.0, vtype=float, repair=repair),
            eliminate_duplicates=True,
        )
        highest = np.array(SIZES) - 1
        problem = _of_pymoo("core.problem", "Problem")(
            n_var=len(SIZES), n_obj=2, xl=np.zeros(len(SIZES)), xu=highest, vtype=int
        )
        self._algorithm.setup(problem, termination=("n_gen", 1_000_000), seed=seed, verbose=False)

    def ask(self) -> list[Tokens]:
        self._asked = self._algorithm.ask()
        return [tuple(int(value) for value in row) for row in self._asked.get("X")]

    def tell(self, trials: Sequence[Trial]) -> None:
        self._asked.set("F", np.array([(-(trial.accuracy or 0), trial.latency_ms) for trial in trials]))
        self._algorithm.tell(infills=self._asked)


def _of_pymoo(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"pymoo.{module}"), name)


@dataclass(frozen=True)
class Rival:
    """How to make a searcher, for which goals, and how far to run it."""

    says: str
    make: Callable[[int, str, Oracle], Searcher]  # seed, goal, what is searched
    goals: tuple[str, ...]  # what it is run for
    trials: int = 8_000
    front_trials: int = 8_000  # at most so many where the front is searched
    needs_architectures: bool = False
    needs: str = ""  # a package that may be missing

    @property
    def missing(self) -> str:
        """Why it cannot run here, or nothing."""
        found = not self.needs or importlib.util.find_spec(self.needs)
        return "" if found else f"{self.needs} is not installed: pip install {self.needs}"


def _ours(make: Callable[[int], Controller]) -> Callable[[int, str, Oracle], Searcher]:
    return lambda seed, goal, oracle: Ours(make(seed))


def _guided(seed: int, goal: str, oracle: Oracle) -> Searcher:
    objective = oracle.objective("soft" if goal == "front" else goal)
    return Choosing(
        controllers.Guided(SPACE, seed, objective=objective, goal="front" if goal == "front" else "reward")
    )


def _tpe(seed: int, goal: str, oracle: Oracle) -> Searcher:
    return Optuna(optuna.samplers.TPESampler(seed=seed), goal)


_REWARDS, _FRONT = ("soft", "hard"), ("front",)
RIVALS = {
    "random": Rival("uniform", _ours(lambda seed: controllers.RandomSearch(SPACE, seed)), _REWARDS),
    "ppo": Rival("the paper's: LSTM, batch 20, lr 3.5e-4, entropy 1e-5", _ours(lambda s: PPO(SPACE, s)), _REWARDS),
    "ppo-tuned": Rival(
        "the same with entropy 3e-4", _ours(lambda seed: PPO(SPACE, seed, entropy_weight=3e-4)), _REWARDS
    ),
    "ppo-independent": Rival(
        "PPO, a softmax per choice, batch 10, lr 0.1, entropy 3e-4",
        _ours(lambda seed: IndependentPPO(SPACE, seed, batch=10, learning_rate=0.1, entropy=3e-4)),
        _REWARDS,
    ),
    "reinforce": Rival(
        "REINFORCE, a softmax per choice, batch 20, lr 0.1",
        _ours(lambda seed: controllers.Reinforce(SPACE, seed)),
        _REWARDS,
    ),
    "evolution": Rival(
        "regularized evolution, population 50, tournament 25",
        _ours(lambda seed: controllers.RegularizedEvolution(SPACE, seed)),
        _REWARDS,
    ),
    "local": Rival(
        "local search, 10 starts, kick 3", _ours(lambda seed: controllers.LocalSearch(SPACE, seed)), _REWARDS
    ),
    "nsga2": Rival("NSGA-II, population 30, batch 5", _ours(lambda seed: controllers.NSGA2(SPACE, seed)), _FRONT),
    # Its TPE for two objectives takes 35 ms a trial up to 300, and more with each.
    "optuna-tpe": Rival("Optuna's TPESampler", _tpe, GOALS, 1_000, front_trials=300),
    "optuna-nsga2": Rival(
        "Optuna's NSGAIISampler, population 50",
        lambda seed, goal, oracle: Optuna(optuna.samplers.NSGAIISampler(seed=seed), goal),
        _FRONT,
        1_000,
    ),
    "pymoo-nsga2": Rival(
        f"pymoo's NSGA-II, population {PYMOO_POPULATION}",
        lambda seed, goal, oracle: Pymoo(seed),
        _FRONT,
        needs="pymoo",
    ),
    "guided": Rival("ours, one predictor per objective", _guided, GOALS, 300, needs_architectures=True),
}
