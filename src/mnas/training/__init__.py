"""Images and a module -> a trained module and its accuracy: short trainings of a search, and whole ones by recipe.

What needs torch is loaded when it is first named.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.training._hardware import Hardware
from mnas.training._recipe import Recipe
from mnas.training._recipe_files import load_recipe, recipe_names, recipe_text
from mnas.training._schedule import learning_rate, peak_learning_rate
from mnas.training._torchrun import rank, started_by_torchrun

if TYPE_CHECKING:
    from mnas.training._checkpoints import Checkpoints
    from mnas.training._detection import Detection, activation_of, detect, scored
    from mnas.training._evaluate import evaluate
    from mnas.training._progress import Progress
    from mnas.training._rmsprop_tf import RMSpropTF
    from mnas.training._task import Classification, Task
    from mnas.training._tensorboard import TensorBoard
    from mnas.training._train import TrainingResult, train

__all__ = [
    "Checkpoints",
    "Classification",
    "Detection",
    "Hardware",
    "Progress",
    "RMSpropTF",
    "Recipe",
    "Task",
    "TensorBoard",
    "TrainingResult",
    "activation_of",
    "detect",
    "evaluate",
    "learning_rate",
    "load_recipe",
    "peak_learning_rate",
    "rank",
    "recipe_names",
    "recipe_text",
    "scored",
    "started_by_torchrun",
    "train",
]

_HEAVY = {
    "Checkpoints": "_checkpoints",
    "Classification": "_task",
    "Detection": "_detection",
    "Progress": "_progress",
    "RMSpropTF": "_rmsprop_tf",
    "Task": "_task",
    "TensorBoard": "_tensorboard",
    "TrainingResult": "_train",
    "activation_of": "_detection",
    "detect": "_detection",
    "scored": "_detection",
    "evaluate": "_evaluate",
    "train": "_train",
}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(importlib.import_module(f"mnas.training.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
