"""MemoryImages: a split whose images lie in memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mnas.datasets._pass import pass_of


class MemoryImages:
    """Images held as one uint8 tensor. A batch is one gather: no decoding, no collating, no loader processes."""

    is_cropped = False

    def __init__(self, pixels: Tensor, labels: Tensor, chosen: Tensor | None = None) -> None:
        """`pixels`: uint8 (n, channels, height, width); `labels`: int64 (n,), or uint8
        (n, classes) for several classes per image; `chosen`: indices of this split's images.

        Splits of the same images share their pixels.
        """
        # Channels last: the order that the training's convolutions take.
        self._pixels = pixels.contiguous(memory_format=torch.channels_last)
        self._chosen = torch.arange(len(labels)) if chosen is None else chosen
        self._labels = labels
        self.labels = labels[self._chosen]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def pixels(self) -> Tensor:
        """All images of this split, uint8 (n, channels, height, width)."""
        return self._pixels[self._chosen]

    def chosen(self, indices: Tensor) -> MemoryImages:
        """The split that holds these of the images."""
        return MemoryImages(self._pixels, self._labels, self._chosen[indices])

    def batches(
        self, size: int, seed: int | None = None, start: int = 0, step: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: in order, or shuffled by a seed and then without a last batch that is not full."""
        for some in pass_of(len(self), size, seed, start, step):
            yield self._pixels[self._chosen[some]], self.labels[some]
