"""RMSpropTF: RMSProp as TensorFlow computes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mnas.errors import SettingsError


class RMSpropTF(Optimizer):
    """RMSProp with TensorFlow's arithmetic, which the paper's learning rates are for.

    Torch's own differs in three places: epsilon stands inside the square root, the mean square starts at
    one, and the learning rate is folded into the momentum buffer, so that a change of it acts slowly.

        mean_square = decay * mean_square + (1 - decay) * gradient^2
        buffer = momentum * buffer + learning_rate * gradient / sqrt(mean_square + epsilon)
        weight = weight - buffer

    `weight_decay` x weight is added to the gradient first. Every step runs over all tensors of a group at once.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        if not (lr >= 0 and 0 <= decay < 1 and 0 <= momentum < 1 and eps > 0 and weight_decay >= 0):
            raise SettingsError(
                "RMSpropTF needs lr >= 0, decay and momentum from 0 to below 1, eps > 0 and weight_decay >= 0, "
                f"got {lr}, {decay}, {momentum}, {eps}, {weight_decay}"
            )
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; parameters without a gradient are left as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._step(group, weights)
        return loss

    def _step(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        squares, buffers = self._states(weights)
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_addcdiv_(buffers, gradients, roots, group["lr"])
        torch._foreach_sub_(weights, buffers)

    def _states(self, weights: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["square"] = torch.ones_like(weight)
                self.state[weight]["buffer"] = torch.zeros_like(weight)
        states = [self.state[weight] for weight in weights]
        return [state["square"] for state in states], [state["buffer"] for state in states]
