"""Gradient: of one step, over all its images, in however many pieces and processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from mnas.errors import SettingsError
from mnas.training._flat_parameters import FlatParameters
from mnas.training._hardware import Hardware
from mnas.training._processes import Processes
from mnas.training._recipe import Recipe
from mnas.training._task import Changes, LossFunction

_TINY = 1e-6


@dataclass(frozen=True)
class Taken:
    """What the images of a step gave."""

    line: Tensor  # the gradient, in the order of the flat vector
    loss: Tensor  # mean
    images: int


class Gradient:
    """Takes the batches of a step through the network and gives the mean gradient of all processes.

    A step's batch is cut into pieces, each of which goes through the network by itself, so batch norm normalizes
    over a piece. Its running statistics move once a step: every piece moves them from where they were before the
    step, and the mean of that is kept. So the pieces may lie in one process or in several: gradient, statistics
    and loss are one vector, which is summed over the processes in one go.
    """

    def __init__(
        self,
        model: nn.Module,
        flat: FlatParameters,
        teacher: nn.Module | None,
        changes: Changes,
        loss: LossFunction,
        recipe: Recipe,
        hardware: Hardware,
        processes: Processes,
        device: torch.device,
        images: int,
    ) -> None:
        at_once = hardware.images_per_piece(recipe.batch, processes.count)
        self.pieces_of_all = recipe.batch // at_once
        self.images = min(at_once, images)
        if self.pieces_of_all > 1 and images < recipe.batch:
            raise SettingsError(f"batch should be at most the {images} training images, got {recipe.batch}")
        self._flat, self._changes, self._loss = flat, changes, loss
        self._recipe, self._processes, self._device = recipe, processes, device
        self._forward = _compiled(model, recipe) if hardware.compile else model
        self._teacher = teacher
        self._type = hardware.autocast(device)
        self.scaler = GradScaler(device.type, enabled=self._type is torch.float16)

    def take(self, batches: Iterator[tuple[Tensor, Tensor]], generator: torch.Generator) -> Taken | None:
        """The gradient over the next batches; None where they have run out."""
        mine = self.pieces_of_all // self._processes.count
        before = self._flat.statistics.clone() if self.pieces_of_all > 1 else None
        total, images = None, 0
        for _ in range(mine):
            batch = next(batches, None)
            if batch is None:
                return None
            if before is not None:
                self._flat.statistics.copy_(before)
            piece = self._piece(*batch, self._chances(generator))
            total = piece if total is None else [one.add_(other) for one, other in zip(total, piece, strict=True)]
            images += len(batch[1])
        assert total is not None
        line, statistics, loss = self._mean(total)
        if before is not None:
            self._flat.statistics.copy_(statistics)
        return Taken(line, loss, images * self._processes.count)

    def apply(self, line: Tensor, optimizer: Optimizer) -> None:
        """One step of the optimizer, with the gradient cut to its longest length where the recipe has one."""
        self._flat.set_gradients(line)
        self.scaler.unscale_(optimizer)
        if self._recipe.clip:
            line.mul_((self._recipe.clip / (line.norm() + _TINY)).clamp(max=1.0))
        self.scaler.step(optimizer)
        self.scaler.update()

    def _chances(self, generator: torch.Generator) -> Any:
        """Of this process's next piece. Those of the others are drawn too, so that all generators agree."""
        each = [self._changes.draw(self.images, generator) for _ in range(self._processes.count)]
        return each[self._processes.rank]

    def _piece(self, pixels: Tensor, labels: Tensor, chances: Any) -> list[Tensor]:
        """Gradient, statistics afterwards, and loss of one piece."""
        pixels, labels = (each.to(self._device, non_blocking=True) for each in (pixels, labels))
        images, targets = self._changes.apply(pixels, labels, chances)
        with self._mixed_precision():
            logits = self._forward(images)
            taught = self._taught(images)
        loss = self._loss(logits.float(), targets, taught)
        gradients = torch.autograd.grad(self.scaler.scale(loss), self._flat.parameters, materialize_grads=True)
        line = self._flat.line(gradients)
        statistics = self._flat.statistics.clone() if self.pieces_of_all > 1 else self._flat.statistics
        return [line, statistics, loss.detach()]

    def _taught(self, images: Tensor) -> Tensor | None:
        if self._teacher is None:
            return None
        with torch.no_grad():
            return self._teacher(images).float()  # type: ignore[no-any-return]

    def _mean(self, total: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        line, statistics, loss = total
        if self.pieces_of_all == 1:
            return line, statistics, loss
        packed = torch.cat([line, statistics, loss.view(1)])
        self._processes.sum_(packed)
        packed /= self.pieces_of_all
        line, statistics, last = torch.split(packed, [len(line), len(statistics), 1])
        return line, statistics, last[0]

    def _mixed_precision(self) -> contextlib.AbstractContextManager[Any]:
        if self._type is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, self._type)


def _compiled(model: nn.Module, recipe: Recipe) -> nn.Module:
    if recipe.norm_warmup:
        raise SettingsError(
            "compile should go with norm_warmup = false: a momentum that changes each step is compiled each step"
        )
    return torch.compile(model)  # type: ignore[return-value]
