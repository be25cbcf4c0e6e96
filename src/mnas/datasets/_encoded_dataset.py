"""EncodedDataset: what the data sets share whose images are decoded, once or as they are used."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from mnas.datasets._broken_images import BrokenImages
from mnas.datasets._contract import Images, Part
from mnas.datasets._decode import DecodeError, decode_centre
from mnas.datasets._listing import Indices, Listing, Shares
from mnas.datasets._memory_images import MemoryImages
from mnas.datasets._options import check_options, imagenet_mean, imagenet_std
from mnas.datasets._streamed_images import StreamedImages


@dataclass(frozen=True, kw_only=True)
class EncodedDataset(abc.ABC):
    """A data set of encoded images. A subclass gives `name` and `listing`, and may add options as fields.

    What fits in `max_memory_gb` at the resolution is decoded once, the central square of each image resized.
    More is decoded as it is used: random crops for training, the central 87.5 % for evaluation.

    Args:
        path: where the images lie.
        resolution: of the square images that come out.
        channels: 3, or 1 for grey.
        validation: share (below 1) or number of the training images held out for the search, unless the
            images come in three splits.
        test: share or number held out for the end, where there are no test images.
        split_seed: of those choices; it is the data set's own and does not follow the search's seed.
        mirrors: whether training may flip the images.
        max_broken: share of the images that may be unreadable; they are left out.
        max_memory_gb: above this size (1 GB = 10^9 bytes) images are streamed.
        loader_workers: processes that decode streamed images; 0: the training's own.
    """

    path: str | Path
    resolution: int = 224
    channels: Literal[1, 3] = 3
    validation: float = 0.1
    test: float = 0.2
    split_seed: int = 0
    mirrors: bool = True
    max_broken: float = 0.01
    max_memory_gb: float = 1.0
    loader_workers: int = 0

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def name(self) -> str:
        """The folder's, by default."""
        return Path(self.path).expanduser().resolve().name

    @abc.abstractmethod
    def listing(self) -> Listing:
        """Every image, its labels and the split it belongs to; nothing is decoded.

        Raises:
            SettingsError: the images are not there or not as expected.
        """

    @property
    def shares(self) -> Shares:
        """What is held out of images that come without splits."""
        return Shares(self.validation, self.test, self.split_seed)

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class index."""
        return _listed(self).class_names

    @property
    def mean(self) -> tuple[float, ...]:
        """ImageNet's, so that it is known without reading every image."""
        return imagenet_mean(self.channels)

    @property
    def std(self) -> tuple[float, ...]:
        """ImageNet's."""
        return imagenet_std(self.channels)

    def split(self, part: Part) -> Images:
        """The images of one split."""
        return _parts(self)[part]


# Kept per process and outside the data set, so that a data set is pickled without its images.
@lru_cache(maxsize=4)
def _listed(dataset: EncodedDataset) -> Listing:
    return dataset.listing()


@lru_cache(maxsize=4)
def _parts(dataset: EncodedDataset) -> Mapping[Part, Images]:
    listing = _listed(dataset)
    indices: dict[Part, Indices] = {
        "train": listing.train,
        "validation": listing.validation,
        "trainval": np.concatenate([listing.train, listing.validation]),
        "test": listing.test,
    }
    size = len(listing.source) * dataset.channels * dataset.resolution**2
    make = _decoded if size <= dataset.max_memory_gb * 1e9 else _streamed
    return make(dataset, listing, indices)


def _decoded(dataset: EncodedDataset, listing: Listing, indices: Mapping[Part, Indices]) -> dict[Part, Images]:
    """Every image read once; the splits share the pixels."""
    source = listing.source
    broken = BrokenImages(str(dataset.path), len(source), dataset.max_broken)
    pixels = torch.zeros((len(source), dataset.channels, dataset.resolution, dataset.resolution), dtype=torch.uint8)
    is_good = np.ones(len(source), dtype=bool)
    for index in range(len(source)):
        try:
            pixels[index] = decode_centre(source, index, dataset.channels, dataset.resolution)
        except DecodeError as error:
            is_good[index] = False
            broken.add(source.name(index), error)
    everyone = MemoryImages(pixels, torch.from_numpy(listing.labels))
    return {part: everyone.chosen(torch.from_numpy(some[is_good[some]])) for part, some in indices.items()}


def _streamed(dataset: EncodedDataset, listing: Listing, indices: Mapping[Part, Indices]) -> dict[Part, Images]:
    broken = BrokenImages(str(dataset.path), len(listing.source), dataset.max_broken)
    return {
        part: StreamedImages(
            listing.source,
            torch.from_numpy(some),
            torch.from_numpy(listing.labels[some]),
            dataset.channels,
            dataset.resolution,
            broken,
            dataset.loader_workers,
        )
        for part, some in indices.items()
    }
