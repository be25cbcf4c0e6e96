"""Images and a module -> a trained module and its accuracy, by the paper's recipe, made quick for small images.

What needs torch is loaded when it is first named.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.training._recipe import Recipe
from mnas.training._schedule import learning_rate, peak_learning_rate

if TYPE_CHECKING:
    from mnas.training._evaluate import evaluate
    from mnas.training._rmsprop_tf import RMSpropTF
    from mnas.training._train import TrainingResult, train

__all__ = ["RMSpropTF", "Recipe", "TrainingResult", "evaluate", "learning_rate", "peak_learning_rate", "train"]

_HEAVY = {
    "RMSpropTF": "_rmsprop_tf",
    "TrainingResult": "_train",
    "evaluate": "_evaluate",
    "train": "_train",
}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(importlib.import_module(f"mnas.training.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
