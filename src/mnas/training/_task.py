"""Task: what a module learns from images."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mnas.datasets import Dataset, Part
from mnas.training._augment import Augmentation
from mnas.training._evaluate import evaluate
from mnas.training._loss import Loss
from mnas.training._processes import Processes
from mnas.training._recipe import Recipe


class Changes(Protocol):
    """How the images of a batch are changed by chance."""

    def draw(self, count: int, generator: torch.Generator) -> Any:
        """Chances for a batch of at most so many images."""
        ...

    def apply(self, pixels: Tensor, labels: Tensor, chances: Any) -> tuple[Tensor, Tensor]:
        """uint8 pixels and labels, both on the device -> float images and what the loss compares with."""
        ...


class LossFunction(Protocol):
    """How far outputs are from what they should be."""

    def __call__(self, outputs: Tensor, targets: Tensor, teacher: Tensor | None, /) -> Tensor:
        """The mean over a batch; with a teacher, of its outputs too."""
        ...


class Task(Protocol):
    """What is learnt. Its parts are made when a training begins, on the training's device."""

    def changes(self, recipe: Recipe, dataset: Any, images: Any, device: torch.device) -> Changes:
        """Of the training images.

        Raises:
            SettingsError: the recipe has changes that the task does not know.
        """
        ...

    def loss(self, recipe: Recipe, dataset: Any, images: Any, device: torch.device) -> LossFunction:
        """Of the module's outputs."""
        ...

    def evaluate(self, module: nn.Module, dataset: Any, part: Part, processes: Processes) -> float:
        """How good the module is on a split, from 0 to 1: what stands in the curve."""
        ...

    def loss_of_a_guess(self, dataset: Any) -> float:
        """About what the loss is of a module that knows nothing."""
        ...

    def describe(self, dataset: Any, part: Part) -> str:
        """What the images and their labels are: a training goes on only where this is the same."""
        ...


class Classification:
    """Which class an image shows, or which ones."""

    def changes(self, recipe: Recipe, dataset: Dataset, images: Any, device: torch.device) -> Changes:
        """The recipe's."""
        return Augmentation(recipe, dataset, images.is_cropped, device)

    def loss(self, recipe: Recipe, dataset: Dataset, images: Any, device: torch.device) -> LossFunction:
        """Cross entropy."""
        return Loss(recipe, images, len(dataset.class_names), device)

    def evaluate(self, module: nn.Module, dataset: Dataset, part: Part, processes: Processes) -> float:
        """The accuracy."""
        return evaluate(module, dataset, part, processes=processes)

    def loss_of_a_guess(self, dataset: Dataset) -> float:
        """All classes equally likely."""
        return math.log(max(len(dataset.class_names), 2))

    def describe(self, dataset: Dataset, part: Part) -> str:
        """With a digest of the labels."""
        labels = dataset.split(part).labels
        digest = hashlib.sha256(labels.contiguous().numpy().tobytes()).hexdigest()[:12]
        return f"{dataset.name} at {dataset.resolution} px, {len(labels)} images with labels {digest}"
