"""Strategies that propose architectures and learn from trials, behind one two-method contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnas.controllers._contract import Controller, Resumable, is_asynchronous
from mnas.controllers._evolution import RegularizedEvolution
from mnas.controllers._local import LocalSearch
from mnas.controllers._nsga2 import NSGA2
from mnas.controllers._random import RandomSearch

if TYPE_CHECKING:
    from mnas.controllers._optuna import OptunaController
    from mnas.controllers._ppo import PPO
    from mnas.controllers._reinforce import Reinforce
    from mnas.controllers.guided import Guided

__all__ = [
    "NSGA2",
    "PPO",
    "Controller",
    "Guided",
    "LocalSearch",
    "OptunaController",
    "RandomSearch",
    "RegularizedEvolution",
    "Reinforce",
    "Resumable",
    "is_asynchronous",
]


def __getattr__(name: str) -> Any:
    # These need torch, scipy or Optuna, which take a while to import: only when they are asked for.
    if name == "PPO":
        from mnas.controllers._ppo import PPO

        return PPO
    if name == "Reinforce":
        from mnas.controllers._reinforce import Reinforce

        return Reinforce
    if name == "OptunaController":
        from mnas.controllers._optuna import OptunaController

        return OptunaController
    if name == "Guided":
        from mnas.controllers.guided import Guided

        return Guided
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
