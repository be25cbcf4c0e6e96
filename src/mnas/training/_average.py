"""Running averages that are useful from the first step on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_WEIGHTS_WARM_UP = 10
_NORMS_WARM_UP = 50


class WeightAverage:
    """An exponential moving average of a vector; with a decay of 0 it is the vector itself.

    Its decay is TensorFlow's for an average that is told the step: at most (1 + step) / (10 + step), so that
    it reaches over about the last ninth of all steps until it has become as long as `decay` says.
    """

    def __init__(self, vector: Tensor, decay: float) -> None:
        self._vector = vector
        self._final = 1 - decay
        self.value = vector.clone() if decay else vector

    def update(self, step: int) -> None:
        """Take in the vector as it is now."""
        if self.value is not self._vector:
            self.value.lerp_(self._vector, max(self._final, 1 - (1 + step) / (_WEIGHTS_WARM_UP + step)))


class NormMomentum:
    """Sets the momentum of batch norm's running statistics, step by step, and puts back what was there.

    The official momentum of 0.99 forgets its start after some hundred steps. That is nothing in 400,000 steps
    and longer than a whole proxy training, whose network would be evaluated with the statistics of its first
    weights. So the share of the new batch begins at one and falls to the module's own. (Shares that fall more
    quickly, as the weights' average has them, left early epochs at the accuracy of a guess.) Without `is_used`
    every share is the module's own.
    """

    def __init__(self, module: nn.Module, is_used: bool) -> None:
        norms = [
            child for child in module.modules() if isinstance(child, nn.modules.batchnorm._BatchNorm) and is_used
        ]
        self._own = {norm: norm.momentum for norm in norms if norm.momentum is not None}

    def set(self, step: int) -> None:
        """For the step about to be taken, counted from 0."""
        for norm, own in self._own.items():
            norm.momentum = max(own, _NORMS_WARM_UP / (_NORMS_WARM_UP + step))

    def restore(self) -> None:
        """The module's own again."""
        for norm, own in self._own.items():
            norm.momentum = own


@torch.no_grad()
def swap(one: Tensor, other: Tensor) -> None:
    """Exchange the contents of two tensors of one shape."""
    if one is not other:
        kept = one.clone()
        one.copy_(other)
        other.copy_(kept)
