"""The split of labelled images in two: seeded, and with the same share of every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mnas.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def stratified_split(
    labels: Sequence[int] | NDArray[Any], held_out: float, seed: int, class_names: Sequence[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices that stay and indices held out, both ascending; the same for the same labels, size and seed.

    `held_out` is a fraction below 1, or a number of images. Of each class that share is held out, rounded so
    that the total is met; every class keeps an image and gives one. Labels are class indices (n,), or 0 and 1 of
    shape (n, classes) where an image may have several classes.

    >>> stay, held = stratified_split([0, 0, 1, 1, 1, 1], held_out=0.5, seed=0)
    >>> len(stay), len(held)
    (3, 3)

    Raises:
        SettingsError: a class has fewer than two images, or `held_out` is not between none and all of them.
    """
    import numpy as np

    classes = np.asarray(labels)
    is_several = classes.ndim == 2
    counts = classes.sum(0, dtype=np.int64) if is_several else np.bincount(classes)
    total = round(held_out * len(classes)) if held_out < 1 else int(held_out)
    _check_each(counts, class_names)
    if is_several:
        from mnas.datasets._split_several import split_several

        held_indices = split_several(classes, _checked(total, held_out, len(classes), 1), seed, class_names)
        return np.setdiff1d(np.arange(len(classes)), held_indices), held_indices
    _checked(total, held_out, len(classes), int((counts > 0).sum()))
    generator = np.random.default_rng(seed)
    held = [
        generator.permutation(np.flatnonzero(classes == index))[:take]
        for index, take in enumerate(_shares(counts, total))
    ]
    held_indices = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(classes)), held_indices), held_indices


def _check_each(counts: NDArray[np.int64], class_names: Sequence[str]) -> None:
    present = counts[counts > 0]
    if len(present) and present.min() < 2:
        lone = int((counts == 1).argmax())
        name = repr(class_names[lone]) if class_names else lone
        raise SettingsError(
            f"class {name} has one image where at least two are needed, one of them to be held out: "
            "add images or leave the class out"
        )


def _checked(total: int, held_out: float, images: int, least: int) -> int:
    """`total`, where both halves have at least so many images."""
    if not least <= total <= images - least:
        raise SettingsError(
            f"{held_out:g} of {images} images cannot be held out: at least {least} should be, one of each class, and "
            f"at least {least} stay; change the share"
        )
    return total


def _shares(counts: NDArray[np.int64], total: int) -> list[int]:
    """How many each class gives: its share rounded down, then the largest remainders up, within the bounds."""
    import numpy as np

    exact = counts * (total / counts.sum())
    low, high = np.minimum(counts, 1), np.maximum(counts - 1, 0)
    shares = np.clip(np.floor(exact).astype(int), low, high)
    # One at a time: a class at its bound passes its part on to the others.
    while (missing := total - shares.sum()) != 0:
        step = 1 if missing > 0 else -1
        room = shares < high if step > 0 else shares > low
        shares[np.where(room, step * (exact - shares), -np.inf).argmax()] += step
    return [int(share) for share in shares]
