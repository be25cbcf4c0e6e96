"""Labels as they are written -> class indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.errors import SettingsError


def number_labels(
    labels: Sequence[str], place: str, class_names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The class names, and an index into them per label.

    Without names given, each label is a class, in sorted order (whole numbers by value). With names given, labels
    are names, or, if all are whole numbers, indices of names.

    Raises:
        SettingsError: a label is not among the given names, or an index is beyond them.
    """
    are_numbers = all(label.isdecimal() for label in labels)
    if class_names is None:
        names = tuple(sorted(set(labels), key=int if are_numbers else None))
    elif are_numbers:
        return tuple(class_names), _indices([int(label) for label in labels], place, len(class_names))
    else:
        names = tuple(class_names)
    index = {name: number for number, name in enumerate(names)}
    unknown = sorted(set(labels) - index.keys())
    if unknown:
        raise SettingsError(
            f"{place} has labels that are not among the {len(names)} classes given: "
            f"{', '.join(repr(label) for label in unknown[:5])}"
        )
    return names, np.asarray([index[label] for label in labels], dtype=np.int64)


def number_several(
    labels: Sequence[Sequence[str]], place: str, class_names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], NDArray[Any]]:
    """The class names, and for several labels per image a uint8 array (images, classes) of 0 and 1.

    Raises:
        SettingsError: as `number_labels`.
    """
    names, flat = number_labels([label for some in labels for label in some], place, class_names)
    marked = np.zeros((len(labels), len(names)), dtype=np.uint8)
    marked[np.repeat(np.arange(len(labels)), [len(some) for some in labels]), flat] = 1
    return names, marked


def _indices(numbers: Sequence[int], place: str, classes: int) -> NDArray[np.int64]:
    largest = max(numbers, default=0)
    if largest >= classes:
        raise SettingsError(
            f"{place} has labels up to {largest}, so {largest + 1} classes; {classes} names are given"
        )
    return np.asarray(numbers, dtype=np.int64)
