"""BoxedDataset: what the data sets of images with boxes share."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from mnas.datasets._annotated import Annotated
from mnas.datasets._boxed_images import StreamedBoxedImages
from mnas.datasets._boxed_splits import boxed_splits
from mnas.datasets._broken_images import BrokenImages
from mnas.datasets._contract import Part
from mnas.datasets._faults import Fault, refuse_faults
from mnas.datasets._listing import Shares
from mnas.datasets._options import check_options, imagenet_mean, imagenet_std


@dataclass(frozen=True, kw_only=True)
class BoxedDataset(abc.ABC):
    """Images with boxes. A subclass gives `name`, `place` and `annotated`, and may add options as fields.

    Every annotation is checked before the first image is decoded. Images are decoded as they are used: SSD's random
    crops for training, whole for evaluation, both stretched to the square.

    Args:
        resolution: of the square images that come out.
        channels: 3, or 1 for grey.
        validation: share (below 1) or number of the training images held out, unless the images come in three
            splits.
        test: share or number held out for the end, where images come without splits.
        split_seed: of those choices, beside the images' ids; it does not follow the search's seed.
        mirrors: whether training may flip the images.
        on_fault: "stop" refuses annotations with faults; "drop" leaves out what has one.
        max_broken: share of the images that may be unreadable; they are left out of training.
        loader_workers: processes that decode; 0: the training's own.
    """

    resolution: int = 320
    channels: Literal[1, 3] = 3
    validation: float = 0.1
    test: float = 0.2
    split_seed: int = 0
    mirrors: bool = True
    on_fault: Literal["stop", "drop"] = "stop"
    max_broken: float = 0.01
    loader_workers: int = 0

    def __post_init__(self) -> None:
        check_options(self)

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What scores are said to be of."""

    @property
    @abc.abstractmethod
    def place(self) -> str:
        """Where the annotations lie, for messages."""

    @abc.abstractmethod
    def annotated(self) -> Annotated:
        """Every image and box that is right, and the faults of the others, by an `AnnotationCheck`.

        Raises:
            SettingsError: the annotations are not there, or cannot be read at all.
        """

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All that is wrong with the annotations, also where it makes `split` refuse them."""
        return _annotated(self).faults

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class index, in the order of the categories' ids."""
        return tuple(_accepted(self).categories)

    @property
    def mean(self) -> tuple[float, ...]:
        """ImageNet's, so that it is known without reading every image."""
        return imagenet_mean(self.channels)

    @property
    def std(self) -> tuple[float, ...]:
        """ImageNet's."""
        return imagenet_std(self.channels)

    def split(self, part: Part) -> StreamedBoxedImages:
        """The images of one split.

        Raises:
            SettingsError: there are faults and `on_fault` is "stop", or no images, no boxes, no splits.
        """
        return _parts(self)[part]


# Kept per process and outside the data set, so that a data set is pickled without its boxes.
@lru_cache(maxsize=4)
def _annotated(dataset: BoxedDataset) -> Annotated:
    return dataset.annotated()


def _accepted(dataset: BoxedDataset) -> Annotated:
    """The annotations, unless their faults stop."""
    annotated = _annotated(dataset)
    if dataset.on_fault == "stop":
        refuse_faults(dataset.place, annotated.faults)
    return annotated


@lru_cache(maxsize=4)
def _parts(dataset: BoxedDataset) -> Mapping[Part, StreamedBoxedImages]:
    annotated = _accepted(dataset)
    shares = Shares(dataset.validation, dataset.test, dataset.split_seed)
    is_strict = dataset.on_fault == "stop"
    broken = BrokenImages(dataset.place, len(annotated.ids), dataset.max_broken, refuses_sizes=is_strict)
    return {
        part: StreamedBoxedImages(
            annotated, chosen, dataset.channels, dataset.resolution, broken, dataset.loader_workers
        )
        for part, chosen in boxed_splits(dataset.place, annotated, shares).items()
    }
