"""StreamedBoxedImages: a split of images with boxes, decoded as it is used."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnas.datasets._annotated import Annotated
from mnas.datasets._broken_images import BrokenImages
from mnas.datasets._decode import decode_window
from mnas.datasets._listing import Indices
from mnas.datasets._loader import Loader
from mnas.datasets._ssd_crop import WHOLE, Floats, boxes_in, ssd_crop


class StreamedBoxedImages:
    """Images with boxes from a torch DataLoader: SSD's crops when shuffled, else whole; stretched to the square.

    Crops follow the seed and the image alone, so that they are the same for any number of loader processes.
    """

    is_cropped = True

    def __init__(
        self,
        annotated: Annotated,
        chosen: Indices,
        channels: int,
        resolution: int,
        broken: BrokenImages,
        loader_workers: int = 0,
    ) -> None:
        """`chosen`: which of the annotated images are this split's."""
        self._annotated, self._chosen = annotated, chosen
        # Detections are told apart by their place in the pass: a broken image must not move those behind it.
        self._loader = Loader(
            _Boxed(annotated, chosen, channels, resolution), broken, loader_workers, keeps_broken=True
        )

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def image_ids(self) -> tuple[int, ...]:
        """Of each image, in the order of an unshuffled pass."""
        return tuple(self._annotated.ids[self._chosen].tolist())

    def batches(
        self, size: int, seed: int | None = None, start: int = 0, step: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: in order, or shuffled, cropped and without a last batch that is not full.

        In a pass in order a broken image is black and without boxes. In a shuffled one others of the batch stand
        in for it.

        Raises:
            SettingsError: more images are broken than may be, or all of a training's batch.
            TrainingError: a loader process died.
        """
        return self._loader.batches(size, seed, start, step)

    def truth(self) -> dict[str, Any]:
        """The split as COCO ground truth, new each time; broken images are in it."""
        return self._annotated.truth(self._chosen)


@dataclass(frozen=True)
class _Boxed:
    """Images and their boxes, as the loader takes them."""

    annotated: Annotated
    chosen: Indices
    channels: int
    resolution: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.resolution, self.resolution

    @property
    def unread(self) -> Tensor:
        return torch.empty((0, 5))

    def __len__(self) -> int:
        return len(self.chosen)

    def name(self, index: int) -> str:
        return self.annotated.source.name(int(self.chosen[index]))

    def decode(self, index: int, generator: random.Random | None) -> tuple[Tensor, Tensor]:
        number = int(self.chosen[index])
        boxes, classes = self._boxes(number)
        window = WHOLE
        if generator is not None:
            window, kept = ssd_crop(boxes, np.random.default_rng(generator.getrandbits(64)))
            boxes, classes = boxes_in(window, boxes[kept]), classes[kept]
        width, height = self.annotated.sizes[number].tolist()
        pixels = decode_window(self.annotated.source, number, self.channels, self.resolution, (width, height), window)
        return pixels, torch.from_numpy(np.column_stack([boxes, classes]).astype(np.float32))

    def join(self, told: Sequence[Tensor]) -> Tensor:
        """(images, most, 5): rows not in use have class -1."""
        joined = torch.zeros((len(told), max(1, *map(len, told)), 5))
        joined[..., 4] = -1
        for row, boxes in zip(joined, told, strict=True):
            row[: len(boxes)] = boxes
        return joined

    def _boxes(self, number: int) -> tuple[Floats, Indices]:
        """x1, y1, x2, y2 as fractions of the image, clipped to it, and the classes; of boxes to be trained on."""
        boxes = self.annotated.boxes
        rows = boxes.of(number)
        used = ~boxes.is_ignored[rows]
        start, size = boxes.pixels[rows][used, :2], boxes.pixels[rows][used, 2:]
        scale = np.tile(self.annotated.sizes[number], 2)
        return np.clip(np.concatenate([start, start + size], 1) / scale, 0.0, 1.0), boxes.classes[rows][used]
