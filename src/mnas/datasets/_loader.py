"""Loader: decodes the batches of a pass, in processes of its own where that is asked for."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mnas.datasets._broken_images import BrokenImages
from mnas.datasets._decode import DecodeError
from mnas.datasets._pass import pass_of
from mnas.errors import TrainingError


class Items(Protocol):
    """The images of a split by number, and what is told of each: labels or boxes. They travel to the processes."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image's pixels: channels, height, width."""
        ...

    @property
    def unread(self) -> Tensor:
        """What is told of an image that cannot be read."""
        ...

    def __len__(self) -> int:
        """How many images."""
        ...

    def name(self, index: int) -> str:
        """What messages call an image."""
        ...

    def decode(self, index: int, generator: random.Random | None) -> tuple[Tensor, Tensor]:
        """The pixels of an image as uint8, and what is told of it; with a generator, of a random crop.

        Raises:
            DecodeError: not a readable image.
        """
        ...

    def join(self, told: Sequence[Tensor]) -> Tensor:
        """What is told of several images as one tensor, a row per image."""
        ...


@dataclass(frozen=True)
class _Batch:
    """What a loader process hands over."""

    pixels: Tensor  # (n, channels, height, width); zeros where an image is broken
    told: Tensor  # (n, ...)
    broken: dict[int, DecodeError]  # by place in the batch


class Loader:
    """Passes over items through a torch DataLoader.

    Crops follow the seed and the image alone, so that they are the same for any number of processes.
    """

    def __init__(self, items: Items, broken: BrokenImages, workers: int = 0, keeps_broken: bool = False) -> None:
        """`keeps_broken`: in a pass in order a broken image keeps its place, all zeros; else it is left out."""
        self._items, self._broken = items, broken
        self._workers, self._keeps_broken = workers, keeps_broken

    def batches(
        self, size: int, seed: int | None = None, start: int = 0, step: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: in order, or shuffled, cropped and without a last batch that is not full.

        In a shuffled pass others of the batch stand in for broken images, so that a training takes the same steps
        whatever is broken.

        Raises:
            SettingsError: more images are broken than may be, or all of a training's batch.
            TrainingError: a loader process died.
        """
        chosen = pass_of(len(self._items), size, seed, start, step)
        for some, batch in zip(chosen, self._load(chosen, seed), strict=True):
            for place, error in batch.broken.items():
                self._broken.add(self._items.name(int(some[place])), error)
            if not batch.broken:
                yield batch.pixels, batch.told
            elif len(rows := self._rows(batch, seed)):
                yield batch.pixels[rows], batch.told[rows]

    def _rows(self, batch: _Batch, seed: int | None) -> Tensor:
        """Which rows of a batch with broken images are handed on."""
        size = len(batch.pixels)
        if seed is None and self._keeps_broken:
            return torch.arange(size)
        readable = torch.tensor([place for place in range(size) if place not in batch.broken], dtype=torch.int64)
        if seed is None:
            return readable
        if not len(readable):
            self._broken.refuse_batch()
        return readable[torch.arange(size) % len(readable)]

    def _load(self, chosen: Sequence[Tensor], seed: int | None) -> Iterator[_Batch]:
        loader: DataLoader[Any] = DataLoader(
            _Decoder(self._items, seed),
            batch_sampler=_Numbers(chosen),
            num_workers=self._workers,
            collate_fn=_as_it_is,
            worker_init_fn=_ignore_interrupts,
            # Without a generator of its own a DataLoader draws from torch's global one.
            generator=torch.Generator().manual_seed(seed or 0),
        )
        try:
            yield from loader
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingError(
                f"a process that loads images died, most likely for want of memory: {error}; "
                "take fewer loader_workers or smaller batches"
            ) from error


def _ignore_interrupts(worker: int) -> None:
    """Ctrl-C is for the training, which takes its step to the end with what the loader processes give it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch


class _Numbers:
    """The images of each batch as lists, made one by one."""

    def __init__(self, chosen: Sequence[Tensor]) -> None:
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[list[int]]:
        return (some.tolist() for some in self._chosen)


class _Decoder(TorchDataset[Any]):
    """Decodes in the loader processes, a batch at a time: it comes back as one tensor."""

    def __init__(self, items: Items, seed: int | None) -> None:
        self._items, self._seed = items, seed

    def __len__(self) -> int:
        return len(self._items)

    def __getitems__(self, indices: list[int]) -> _Batch:
        told: list[Tensor] = []
        broken: dict[int, DecodeError] = {}
        pixels = torch.empty((len(indices), *self._items.shape), dtype=torch.uint8)
        for place, index in enumerate(indices):
            generator = None if self._seed is None else random.Random(f"{self._seed} {index}")
            try:
                pixels[place], known = self._items.decode(index, generator)
            except DecodeError as error:
                broken[place] = error
                pixels[place], known = 0, self._items.unread
            told.append(known)
        return _Batch(pixels, self._items.join(told), broken)
