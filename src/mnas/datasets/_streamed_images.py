"""StreamedImages: a split that is decoded as it is used."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mnas.datasets._broken_images import BrokenImages
from mnas.datasets._decode import BROKEN, decode_centre, decode_random

_EVALUATION_SHARE = 0.875  # of the shorter side: what 224 of 256 pixels are


@dataclass(frozen=True)
class _Decoded:
    index: int
    pixels: Tensor | None
    reason: str = ""


class StreamedImages:
    """Images decoded by a torch DataLoader: random crops when shuffled, else the central 87.5 %.

    Crops follow the seed and the image alone, so that they are the same for any number of loader processes.
    """

    is_cropped = True

    def __init__(
        self,
        files: Sequence[Path],
        labels: Tensor,
        channels: int,
        resolution: int,
        broken: BrokenImages,
        loader_workers: int = 0,
    ) -> None:
        self.labels = labels
        self._files = files
        self._channels, self._resolution = channels, resolution
        self._broken = broken
        self._loader_workers = loader_workers

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int, seed: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: in order, or shuffled, cropped and without a last batch that is not full."""
        for decoded in self._loader(min(size, len(self)), seed):
            for item in decoded:
                if item.pixels is None:
                    self._broken.add(self._files[item.index], item.reason)
            good = [item for item in decoded if item.pixels is not None]
            if good:
                pixels = torch.stack([item.pixels for item in good if item.pixels is not None])
                yield pixels, self.labels[[item.index for item in good]]

    def _loader(self, size: int, seed: int | None) -> DataLoader[list[_Decoded]]:
        # Without a generator of its own a DataLoader draws from torch's global one.
        generator = torch.Generator().manual_seed(seed or 0)
        count = len(self)
        order = range(count) if seed is None else torch.randperm(count, generator=generator).tolist()
        return DataLoader(
            _Files(self._files, self._channels, self._resolution, seed),  # type: ignore[arg-type]
            batch_size=size,
            sampler=order,
            drop_last=seed is not None,
            num_workers=self._loader_workers,
            collate_fn=list,
            generator=generator,
        )


class _Files(TorchDataset[_Decoded]):
    def __init__(self, files: Sequence[Path], channels: int, resolution: int, seed: int | None) -> None:
        self._files = files
        self._channels, self._resolution = channels, resolution
        self._seed = seed

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> _Decoded:
        path = self._files[index]
        try:
            if self._seed is None:
                pixels = decode_centre(path, self._channels, self._resolution, _EVALUATION_SHARE)
            else:
                generator = random.Random(f"{self._seed} {index}")
                pixels = decode_random(path, self._channels, self._resolution, generator)
        except BROKEN as error:
            return _Decoded(index, None, f"{type(error).__name__}: {error}")
        return _Decoded(index, pixels)
