"""StreamedImages: a split that is decoded as it is used."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mnas.datasets._broken_images import BrokenImages
from mnas.datasets._decode import DecodeError, decode_centre, decode_random
from mnas.datasets._pass import pass_of
from mnas.datasets._source import Source
from mnas.errors import TrainingError

EVALUATION_SHARE = 0.875  # of the shorter side: what 224 of 256 pixels are


@dataclass(frozen=True)
class _Batch:
    """What a loader process hands over: readable images with their places in the batch, and what was broken."""

    size: int
    places: list[int]
    pixels: Tensor  # (len(places), channels, resolution, resolution)
    broken: dict[int, str]  # place -> reason


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
        self._source, self._chosen = source, chosen
        self._channels, self._resolution = channels, resolution
        self._broken = broken
        self._loader_workers = loader_workers

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, indices: Tensor) -> StreamedImages:
        """The split that holds these of the images; one that is there several times is cropped anew each time."""
        chosen, labels = self._chosen[indices], self.labels[indices]
        return StreamedImages(
            self._source, chosen, labels, self._channels, self._resolution, self._broken, self._loader_workers
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
        chosen = pass_of(len(self), size, seed, start, step)
        for some, batch in zip(chosen, self._load(chosen, seed), strict=True):
            for place, reason in batch.broken.items():
                self._broken.add(self._source.name(int(self._chosen[some[place]])), reason)
            if seed is not None and not batch.places:
                self._broken.refuse_batch()
            if batch.places:
                kept = _kept(batch) if seed is None else _filled(batch)
                places = torch.tensor(batch.places)[kept]
                yield batch.pixels[kept] if batch.broken else batch.pixels, self.labels[some[places]]

    def _load(self, chosen: Sequence[Tensor], seed: int | None) -> Iterator[_Batch]:
        loader: DataLoader[Any] = DataLoader(
            _Decoder(self._source, self._chosen, self._channels, self._resolution, seed),
            batch_sampler=_Numbers(chosen),
            num_workers=self._loader_workers,
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


def _kept(batch: _Batch) -> Tensor:
    return torch.arange(len(batch.places))


def _filled(batch: _Batch) -> Tensor:
    """Every readable image once, and again from the first one for each that is broken."""
    return torch.arange(batch.size) % len(batch.places)


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

    def __init__(self, source: Source, chosen: Tensor, channels: int, resolution: int, seed: int | None) -> None:
        self._source, self._chosen = source, chosen
        self._channels, self._resolution = channels, resolution
        self._seed = seed

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitems__(self, indices: list[int]) -> _Batch:
        places: list[int] = []
        broken: dict[int, str] = {}
        pixels = torch.empty((len(indices), self._channels, self._resolution, self._resolution), dtype=torch.uint8)
        for place, index in enumerate(indices):
            try:
                pixels[len(places)] = self._decode(index)
                places.append(place)
            except DecodeError as error:
                broken[place] = str(error)
        return _Batch(len(indices), places, pixels[: len(places)], broken)

    def _decode(self, index: int) -> Tensor:
        number = int(self._chosen[index])
        if self._seed is None:
            return decode_centre(self._source, number, self._channels, self._resolution, EVALUATION_SHARE)
        generator = random.Random(f"{self._seed} {index}")
        return decode_random(self._source, number, self._channels, self._resolution, generator)
