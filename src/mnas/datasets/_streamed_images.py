"""StreamedImages: a split that is decoded as it is used."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnas.datasets._broken_images import BrokenImages
from mnas.datasets._decode import decode_centre, decode_random
from mnas.datasets._loader import Loader
from mnas.datasets._source import Source

EVALUATION_SHARE = 0.875  # of the shorter side: what 224 of 256 pixels are


class StreamedImages:
    """Images decoded by a torch DataLoader: random crops when shuffled, else the central 87.5 %.

    Crops follow the seed and the image alone, so that they are the same for any number of loader processes.
    """

    is_cropped = True

    def __init__(
        self,
        source: Source,
        chosen: Tensor,
        labels: Tensor,
        channels: int,
        resolution: int,
        broken: BrokenImages,
        loader_workers: int = 0,
    ) -> None:
        """`chosen`: which images of the source are this split's; `labels`: theirs."""
        self.labels = labels
        self._items = _Labelled(source, chosen, labels, channels, resolution)
        self._broken, self._loader_workers = broken, loader_workers

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, indices: Tensor) -> StreamedImages:
        """The split that holds these of the images; one that is there several times is cropped anew each time."""
        items = self._items
        chosen, labels = items.chosen[indices], items.labels[indices]
        return StreamedImages(
            items.source, chosen, labels, items.channels, items.resolution, self._broken, self._loader_workers
        )

    def batches(
        self, size: int, seed: int | None = None, start: int = 0, step: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: in order, or shuffled, cropped and without a last batch that is not full.

        Broken images are left out of a pass in order. In a shuffled one others of the batch stand in for them, so
        that a training takes the same steps whatever is broken.

        Raises:
            SettingsError: more images are broken than may be, or all of a training's batch.
            TrainingError: a loader process died.
        """
        return Loader(self._items, self._broken, self._loader_workers).batches(size, seed, start, step)


@dataclass(frozen=True)
class _Labelled:
    """Images and their labels, as the loader takes them."""

    source: Source
    chosen: Tensor
    labels: Tensor
    channels: int
    resolution: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.resolution, self.resolution

    @property
    def unread(self) -> Tensor:
        return torch.zeros_like(self.labels[0])

    def __len__(self) -> int:
        return len(self.chosen)

    def name(self, index: int) -> str:
        return self.source.name(int(self.chosen[index]))

    def decode(self, index: int, generator: random.Random | None) -> tuple[Tensor, Tensor]:
        number, label = int(self.chosen[index]), self.labels[index]
        if generator is None:
            return decode_centre(self.source, number, self.channels, self.resolution, EVALUATION_SHARE), label
        return decode_random(self.source, number, self.channels, self.resolution, generator), label

    def join(self, told: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(told))
