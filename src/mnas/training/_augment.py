"""Random changes of a batch of images: drawn for the batch, then done where the images lie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mnas.datasets import Dataset
from mnas.training._erasing import ErasedParts, RandomErasing
from mnas.training._evaluate import Normalize
from mnas.training._mixup import Mixup
from mnas.training._rand_augment import Operations, RandAugment
from mnas.training._recipe import Recipe


@dataclass(frozen=True)
class Moves:
    """Of each image: whether it is mirrored (n, 1), and its shift down and right (2, n, 1). None: of no image."""

    is_mirrored: Tensor | None
    offsets: Tensor | None


class RandomMoves:
    """Shifts by up to `shift` pixels and, if wanted, mirrors by chance. What a shift brings in is zero."""

    def __init__(self, shift: int, mirror: bool) -> None:
        self.shift, self.mirror = shift, mirror

    def draw(self, count: int, generator: torch.Generator) -> Moves:
        """Chances for so many images."""
        is_mirrored = torch.rand(count, 1, generator=generator) < 0.5 if self.mirror else None
        offsets = None
        if self.shift:
            offsets = torch.randint(0, 2 * self.shift + 1, (2, count, 1), generator=generator)
        return Moves(is_mirrored, offsets)

    def apply(self, images: Tensor, moves: Moves) -> Tensor:
        """Float images (n, channels, height, width), moved. With channels last in, channels last comes out."""
        if not self.shift and not self.mirror:
            return images
        count, _, height, width = images.shape
        rows, columns = torch.arange(height).expand(count, -1), torch.arange(width).expand(count, -1)
        if moves.is_mirrored is not None:
            columns = torch.where(moves.is_mirrored[:count], width - 1 - columns, columns)
        if moves.offsets is not None:
            images = F.pad(images, (self.shift,) * 4)
            rows, columns = rows + moves.offsets[0, :count], columns + moves.offsets[1, :count]
        rows, columns = rows.to(images.device), columns.to(images.device)
        # One gather for the whole batch: image by image it would cost more than the network.
        number = torch.arange(count, device=images.device)[:, None, None]
        return images.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Chances:
    """What was drawn for one batch. None: the recipe has no such change."""

    operations: Operations | None
    moves: Moves
    erased: ErasedParts | None
    mixed: float | None  # the share that stays of each image


class Augmentation:
    """A recipe's changes: RandAugment on pixels, then, normalized, shifts and mirrors, erasing, mixup.

    The chances of a batch are few numbers. Several processes that train together all draw those of every
    batch from generators that agree, and each changes its own batches.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, is_cropped: bool, device: torch.device) -> None:
        shift = 0 if is_cropped else round(recipe.shift * dataset.resolution)
        self._normalize = Normalize(dataset, device)
        self._moves = RandomMoves(shift, recipe.mirror and dataset.mirrors)
        self._operations = RandAugment(recipe.randaugment) if recipe.randaugment else None
        self._erasing = RandomErasing(recipe.erasing) if recipe.erasing else None
        self._mixup = Mixup(recipe.mixup, len(dataset.class_names)) if recipe.mixup else None

    def draw(self, count: int, generator: torch.Generator) -> Chances:
        """Chances for a batch of at most so many images."""
        return Chances(
            self._operations.draw(count, generator) if self._operations else None,
            self._moves.draw(count, generator),
            self._erasing.draw(count, generator) if self._erasing else None,
            self._mixup.draw(generator) if self._mixup else None,
        )

    def apply(self, pixels: Tensor, labels: Tensor, chances: Chances) -> tuple[Tensor, Tensor]:
        """uint8 pixels and labels, both on the device -> float images, and labels or, mixed, shares of classes."""
        if self._operations and chances.operations:
            pixels = self._operations.apply(pixels, chances.operations)
        images = self._moves.apply(self._normalize(pixels), chances.moves)
        if self._erasing and chances.erased:
            images = self._erasing.apply(images, chances.erased)
        if self._mixup and chances.mixed is not None:
            return self._mixup.apply(images, labels, chances.mixed)
        return images, labels
