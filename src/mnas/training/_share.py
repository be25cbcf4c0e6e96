"""Some of the batches of a pass: what one of several processes takes, from where it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from torch import Tensor

from mnas.datasets import Images


def share_of_batches(
    images: Images, size: int, seed: int | None, start: int, step: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches `start`, `start + step`, ... of the pass `images.batches(size, seed)`."""
    return itertools.islice(images.batches(size, seed), start, None, step)
