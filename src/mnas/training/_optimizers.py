"""A recipe's optimizer over the two parts of a flat vector."""

from __future__ import annotations

from torch.optim import SGD, AdamW, Optimizer

from mnas.training._flat_parameters import FlatParameters
from mnas.training._recipe import Recipe
from mnas.training._rmsprop_tf import RMSpropTF


def make_optimizer(recipe: Recipe, flat: FlatParameters) -> Optimizer:
    """The optimizer, whose learning rate is set before each step. Batch norm's weights are not decayed."""
    groups = [
        {"params": [flat.decayed], "weight_decay": recipe.weight_decay},
        {"params": [flat.plain], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=0.0, betas=(recipe.momentum, 0.999))
    return RMSpropTF(groups, lr=0.0, momentum=recipe.momentum, eps=recipe.epsilon)
