"""Strategies that propose architectures and learn from trials, behind one two-method contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnas.controllers._contract import Controller
from mnas.controllers._evolution import RegularizedEvolution
from mnas.controllers._random import RandomSearch

if TYPE_CHECKING:
    from mnas.controllers._ppo import PPO
    from mnas.controllers._reinforce import Reinforce

__all__ = ["PPO", "Controller", "RandomSearch", "RegularizedEvolution", "Reinforce"]


def __getattr__(name: str) -> Any:
    # These need torch, which takes a second to import: only when they are asked for.
    if name == "PPO":
        from mnas.controllers._ppo import PPO

        return PPO
    if name == "Reinforce":
        from mnas.controllers._reinforce import Reinforce

        return Reinforce
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
