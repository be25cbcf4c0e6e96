"""What a data set of encoded images holds: where they lie, their labels, and which belong to which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnas.datasets._source import Source
from mnas.datasets._split import stratified_split
from mnas.errors import SettingsError

Indices = NDArray[np.int64]
Group = Literal["all", "train", "validation", "test"]

# What people call the splits, in folders, shards and tables.
GROUPS: Mapping[str, Group] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Listing:
    """All images with their labels, and the indices of each split's."""

    class_names: tuple[str, ...]
    source: Source
    labels: NDArray[Any]  # int64 (n,), or uint8 (n, classes) of 0 and 1
    train: Indices
    validation: Indices
    test: Indices


@dataclass(frozen=True)
class Shares:
    """What is held out of images that come without splits, and by which seed."""

    validation: float
    test: float
    seed: int


def listing(
    place: str,
    class_names: Sequence[str],
    source: Source,
    labels: NDArray[Any],
    groups: Mapping[Group, Indices],
    shares: Shares,
) -> Listing:
    """The splits of images that lie in one group ("all") or in groups named as the splits are.

    Training and one other group: that other is the test split, and validation is held out of training.

    Raises:
        SettingsError: fewer than two classes, a class with too few images, or groups that make no splits.
    """
    names = tuple(class_names)
    if len(names) < 2:
        raise SettingsError(f"{place}: at least two classes are needed, got {', '.join(names) or 'none'}")
    if groups.keys() == {"all"}:
        _check_counts(place, labels[groups["all"]], names, 3, "one each for training, validation and test")
        rest, test = _hold_out(groups["all"], labels, names, shares.test, shares.seed)
        train, validation = _hold_out(rest, labels, names, shares.validation, shares.seed)
    elif groups.keys() == {"train", "validation", "test"}:
        train, validation, test = groups["train"], groups["validation"], groups["test"]
        _check_counts(f"{place}: training", labels[train], names, 1, "of every class")
        _check_counts(f"{place}: validation", labels[validation], names, 1, "of every class")
    elif "train" in groups and len(groups) == 2:
        [test] = [indices for group, indices in groups.items() if group != "train"]
        _check_counts(f"{place}: training", labels[groups["train"]], names, 2, "one to be held out for the search")
        train, validation = _hold_out(groups["train"], labels, names, shares.validation, shares.seed)
    else:
        raise SettingsError(
            f"{place} should have images for training and for test or validation, or no such splits at all; it has "
            f"{', '.join(groups) or 'nothing'}"
        )
    return Listing(names, source, labels, train, validation, test)


def _hold_out(
    indices: Indices, labels: NDArray[Any], names: Sequence[str], share: float, seed: int
) -> tuple[Indices, Indices]:
    stay, held = stratified_split(labels[indices], share, seed, names)
    return indices[stay], indices[held]


def _check_counts(place: str, labels: NDArray[Any], names: Sequence[str], least: int, reason: str) -> None:
    counts = labels.sum(0, dtype=np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=len(names))
    few = [f"{name} has {count or 'none'}" for name, count in zip(names, counts, strict=True) if count < least]
    if few:
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        raise SettingsError(
            f"{place}: each class should have at least {least} image{'s' if least > 1 else ''}, {reason}; "
            f"{', '.join(few[:5])}{more}: add images or leave the class out"
        )
