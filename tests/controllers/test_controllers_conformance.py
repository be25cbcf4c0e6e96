from __future__ import annotations

from mnas.controllers import PPO, Controller, RandomSearch, RegularizedEvolution, Reinforce
from mnas.space import SearchSpace
from mnas.testing import ControllerConformance


class TestRandomSearch(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        return RandomSearch(space, seed)


class TestRegularizedEvolution(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        # A population that fills within the rounds of the suite, so that mutation is compared too.
        return RegularizedEvolution(space, seed, population=12, tournament=5)


class TestReinforce(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        return Reinforce(space, seed)


class TestRecurrentReinforce(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        return Reinforce(space, seed, policy="recurrent", learning_rate=3.5e-3)


class TestPPO(ControllerConformance):
    def make(self, space: SearchSpace, seed: int) -> Controller:
        return PPO(space, seed)
