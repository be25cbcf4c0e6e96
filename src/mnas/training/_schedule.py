"""The learning rate of each step."""

from __future__ import annotations

import math

from mnas.training._recipe import Recipe

_SHORT, _SHORTEST = 2000, 96  # steps; see peak_learning_rate


def peak_learning_rate(recipe: Recipe, steps: int) -> float:
    """The recipe's learning rate, or where it has none, one for a training of so many steps.

    `rate_per_256`, officially 0.016, per 256 images of a batch; where `short_rate` is set times 1 + 2000 / steps.
    RMSProp's mean squares start at one and take some hundred steps to fall to those of the gradients; until then
    a step is as small as the gradient. For 400,000 steps that is nothing, in a training of a hundred it is all
    there is. The factor was fitted on digits (96 to 440 steps) and on Fashion-MNIST (843 steps); below 96 steps
    it stays.

    >>> round(peak_learning_rate(Recipe(batch=4096), 109_474), 3), round(peak_learning_rate(Recipe(batch=64), 96), 3)
    (0.261, 0.087)
    >>> peak_learning_rate(Recipe(batch=4096, short_rate=False), 109_474)
    0.256
    """
    if recipe.learning_rate is not None:
        return recipe.learning_rate
    official = recipe.rate_per_256 / 256 * recipe.batch
    return official * (1 + _SHORT / max(steps, _SHORTEST)) if recipe.short_rate else official


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step, counted from 0 over the whole training.

    Linear warm-up, then stairs or a cosine. Stairs: x0.97 every 2.4 epochs from step 0 on, as in the official code,
    unless the recipe has others.
    The paper's 350 epochs come to 145 stairs, that is to 1.2 % of the peak. A training of five epochs with a
    stair every 2.4 would end at 94 % of the peak, with weights that are still noise; so with `schedule_epochs` the
    stairs are squeezed: a stair lasts 2.4 x epochs / `schedule_epochs` epochs, and every length of training ends
    at the same share of its peak. The cosine falls from the peak after the warm-up to zero.

    >>> proxy = Recipe(epochs=5, learning_rate=0.02, warmup_epochs=0)
    >>> [round(learning_rate(proxy, step, 10), 4) for step in (0, 25, 49)]
    [0.02, 0.0022, 0.0003]
    """
    epoch = step / steps_per_epoch
    peak = peak_learning_rate(recipe, recipe.epochs * steps_per_epoch)
    if epoch < recipe.warmup_epochs:
        return peak * (step + 1) / (recipe.warmup_epochs * steps_per_epoch + 1)
    if recipe.schedule == "cosine":
        done = (epoch - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
        return peak * (1 + math.cos(math.pi * done)) / 2
    written = epoch / recipe.epochs * recipe.schedule_epochs if recipe.schedule_epochs else epoch
    return float(peak * recipe.stair ** int(written / recipe.stair_epochs))
