"""How many images of each class a split has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnas.datasets._contract import Images

if TYPE_CHECKING:
    from torch import Tensor


def class_counts(images: Images, classes: int) -> Tensor:
    """Images per class, int64 (classes,): what weights and sampling against unequal classes start from.

    Where images have several classes each, an image counts for each of its classes.
    """
    labels = images.labels
    return labels.long().sum(0) if labels.ndim == 2 else labels.bincount(minlength=classes)
