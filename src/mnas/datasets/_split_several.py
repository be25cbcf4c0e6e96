"""The split of images with several labels each: the same share of every class, and every class in both halves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mnas.errors import SettingsError


def split_several(
    labels: NDArray[np.uint8], held_out: int, seed: int, class_names: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Indices of `held_out` images, ascending; `labels` is (images, classes) of 0 and 1.

    After iterative stratification (Sechidis et al. 2011): classes are dealt out from the rarest to the most
    frequent, so that those with few images to choose from choose first. Whole classes at a time, not image by image.

    Raises:
        SettingsError: a class would be missing in one half.
    """
    split = _Split(labels, held_out, np.random.default_rng(seed))
    split.deal()
    split.move_to_total(held_out)
    split.give_every_class_to_both()
    missing = np.flatnonzero((split.total > 0) & ((split.held == 0) | (split.held == split.total)))
    if len(missing):
        name = repr(class_names[missing[0]]) if class_names else missing[0]
        raise SettingsError(
            f"{held_out} of {len(labels)} images cannot be held out so that every class is in both halves: class "
            f"{name}, with {split.total[missing[0]]} images, is in one only; change the share, add images or leave "
            "the class out"
        )
    return np.flatnonzero(split.is_held)


class _Split:
    def __init__(self, labels: NDArray[np.uint8], held_out: int, generator: np.random.Generator) -> None:
        # In an order of chance from here on, so that the first of some is any of them.
        self._order = generator.permutation(len(labels))
        self._marked = labels[self._order].astype(bool)
        self._is_held = np.zeros(len(labels), dtype=bool)
        self.total = self._marked.sum(0, dtype=np.int64)
        self.held = np.zeros_like(self.total)  # per class
        wanted = np.round(self.total * (held_out / len(labels))).astype(np.int64)
        self._wanted = np.clip(wanted, np.minimum(self.total, 1), np.maximum(self.total - 1, 0))

    @property
    def is_held(self) -> NDArray[np.bool_]:
        """Per image, in the order they came in."""
        held = np.empty_like(self._is_held)
        held[self._order] = self._is_held
        return held

    def deal(self) -> None:
        """Of each class, the rarest first, as many as are still wanted of those that no other class has dealt."""
        is_dealt = np.zeros(len(self._marked), dtype=bool)
        for index in np.argsort(self.total, kind="stable"):
            free = np.flatnonzero(self._marked[:, index] & ~is_dealt)
            self._move(free[: max(0, self._wanted[index] - self.held[index])])
            is_dealt[free] = True

    def move_to_total(self, held_out: int) -> None:
        """Images without labels, then one at a time that which suits the classes best, until the number is right."""
        plain = np.flatnonzero(~self._marked.any(1))
        self._move(plain[: max(0, held_out - int(self._is_held.sum()))])
        while (missing := held_out - int(self._is_held.sum())) != 0:
            side = self._is_held if missing < 0 else ~self._is_held
            candidates = np.flatnonzero(side)
            self._move(candidates[self._harm(candidates, into=missing > 0).argmin()][None])

    def give_every_class_to_both(self) -> None:
        """For a class that one half lacks, an image that has it changes places with one that does least harm."""
        for index in np.flatnonzero((self.total > 1) & ((self.held == 0) | (self.held == self.total))):
            into = bool(self.held[index] == 0)
            givers = np.flatnonzero(self._marked[:, index] & (self._is_held != into))
            self._move(givers[self._harm(givers, into).argmin()][None])
            back = np.flatnonzero((self._is_held == into) & ~self._marked[:, index])
            if len(back):
                self._move(back[self._harm(back, not into).argmin()][None])

    def _harm(self, images: NDArray[np.int64], into: bool) -> NDArray[np.float64]:
        """How much worse the classes' shares become by moving each image; a class that a half loses counts most."""
        step = 1 if into else -1
        worse = np.abs(self.held + step - self._wanted) - np.abs(self.held - self._wanted)
        left = self.total - self.held if into else self.held
        harm: NDArray[np.float64] = self._marked[images] @ (worse + len(self._marked) * (left <= 1)).astype(
            np.float64
        )
        return harm

    def _move(self, images: NDArray[np.int64]) -> None:
        """To the other half."""
        into = ~self._is_held[images]
        self.held += (self._marked[images] * np.where(into, 1, -1)[:, None]).sum(0)
        self._is_held[images] = into
