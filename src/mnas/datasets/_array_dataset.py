"""ArrayDataset: what the data sets share whose images fit in memory."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnas.datasets._contract import Part
from mnas.datasets._memory_images import MemoryImages
from mnas.datasets._resize import resize
from mnas.datasets._split import stratified_split
from mnas.errors import SettingsError


@dataclass(frozen=True)
class Arrays:
    """Images and labels as they are stored, checked.

    Images are uint8 (n, height, width) or (n, height, width, channels); labels are whole numbers (n,) from 0
    to one below the number of classes, each of which occurs in both halves.
    """

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    class_names: tuple[str, ...]
    origin: str  # where they come from, for messages

    def __post_init__(self) -> None:
        self._check_images("x_train", self.x_train)
        self._check_images("x_test", self.x_test)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            shapes = f"{self.x_train.shape[1:]} and {self.x_test.shape[1:]}"
            raise SettingsError(f"{self.origin}: training and test images should have one shape, got {shapes}")
        if len(self.class_names) < 2:
            raise SettingsError(f"{self.origin}: at least two classes are needed, got {len(self.class_names)}")
        self._check_labels("y_train", self.y_train, len(self.x_train))
        self._check_labels("y_test", self.y_test, len(self.x_test))

    def _check_images(self, name: str, images: NDArray[Any]) -> None:
        right = images.dtype == np.uint8 and images.ndim in (3, 4) and (images.ndim == 3 or images.shape[3] in (1, 3))
        if not right:
            raise SettingsError(
                f"{self.origin}: {name} should be uint8 of shape (images, height, width) or (images, height, width, "
                f"1 or 3), got {images.dtype} of shape {images.shape}"
            )

    def _check_labels(self, name: str, labels: NDArray[Any], images: int) -> None:
        if labels.shape != (images,) or not np.issubdtype(labels.dtype, np.integer):
            raise SettingsError(
                f"{self.origin}: {name} should be {images} whole numbers, one per image, got {labels.dtype} of "
                f"shape {labels.shape}"
            )
        classes = len(self.class_names)
        if images and not 0 <= labels.min() <= labels.max() < classes:
            raise SettingsError(
                f"{self.origin}: {name} should run from 0 to {classes - 1}, got {labels.min()} to {labels.max()}"
            )
        empty = sorted(set(range(classes)) - set(np.unique(labels).tolist()))
        if empty:
            raise SettingsError(
                f"{self.origin}: {name} has no image of class {', '.join(self.class_names[i] for i in empty[:5])}; "
                "every class should be in the training and in the test images"
            )


@dataclass(frozen=True, kw_only=True)
class ArrayDataset(abc.ABC):
    """A data set of arrays. A subclass gives `name`, `mirrors` and `load`, and may add options as fields.

    Args:
        resolution: to which every image is resized.
        validation: share (below 1) or number of the training images that are held out for the search.
        split_seed: of that choice; it is the data set's own and does not follow the search's seed.
    """

    name = ""
    mirrors = False

    resolution: int
    validation: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise SettingsError(f"resolution should be at least 1 pixel, got {self.resolution}")
        if not self.validation > 0:
            raise SettingsError(
                f"validation should be a share below 1 or a number of images, above zero; got {self.validation}"
            )

    @abc.abstractmethod
    def load(self) -> Arrays:
        """The images as stored.

        Raises:
            SettingsError: they are not there or not as expected.
        """

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class index."""
        return _loaded(self).class_names

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return len(self.mean)

    @property
    def mean(self) -> tuple[float, ...]:
        """Of the training images, per channel, on the scale from 0 to 1."""
        return _loaded(self).mean

    @property
    def std(self) -> tuple[float, ...]:
        """Of the training images, per channel, on the scale from 0 to 1."""
        return _loaded(self).std

    def split(self, part: Part) -> MemoryImages:
        """The images of one split."""
        return _loaded(self).parts[part]


@dataclass(frozen=True)
class _Loaded:
    parts: Mapping[Part, MemoryImages]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]


# Kept per process and outside the data set, so that a data set is pickled without its images.
@lru_cache(maxsize=4)
def _loaded(dataset: ArrayDataset) -> _Loaded:
    arrays = dataset.load()
    stay, held = stratified_split(arrays.y_train, dataset.validation, dataset.split_seed, arrays.class_names)
    everything = _images(arrays.x_train, arrays.y_train, dataset.resolution)
    train = everything.chosen(torch.from_numpy(stay))
    mean, std = _statistics(train.pixels)
    parts: dict[Part, MemoryImages] = {
        "train": train,
        "validation": everything.chosen(torch.from_numpy(held)),
        "trainval": everything,
        "test": _images(arrays.x_test, arrays.y_test, dataset.resolution),
    }
    return _Loaded(parts, mean, std, arrays.class_names)


def _images(images: NDArray[Any], labels: NDArray[Any], resolution: int) -> MemoryImages:
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return MemoryImages(resize(pixels, resolution), torch.from_numpy(labels.astype(np.int64)))


def _statistics(pixels: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    means, stds = [], []
    for channel in range(pixels.shape[1]):
        # Over the 256 values instead of the pixels: exact, and without a float copy of the images.
        counts = torch.bincount(pixels[:, channel].reshape(-1), minlength=256).double()
        values, share = torch.arange(256).double() / 255, counts / counts.sum()
        mean = (values * share).sum()
        means.append(round(mean.item(), 6))
        stds.append(round(max(((values - mean).square() * share).sum().sqrt().item(), 1 / 255), 6))
    return tuple(means), tuple(stds)
