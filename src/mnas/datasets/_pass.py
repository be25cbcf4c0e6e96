"""Which images the batches of one pass hold."""

from __future__ import annotations

import torch
from torch import Tensor

from mnas.errors import SettingsError


def pass_of(images: int, size: int, seed: int | None, start: int = 0, step: int = 1) -> tuple[Tensor, ...]:
    """The indices of each batch, int64 (n,): in order, or shuffled by a seed and then without a rest.

    Of these batches only number `start`, `start + step`, ...

    Raises:
        SettingsError: `size` or `step` is below 1, or `start` below 0.
    """
    if size < 1 or start < 0 or step < 1:
        raise SettingsError(
            "batches should have at least 1 image, start at 0 or later and be at least 1 apart, got "
            f"size = {size}, start = {start}, step = {step}"
        )
    size = max(1, min(size, images))
    if seed is None:
        order = torch.arange(images)
    else:
        order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
        order = order[: images // size * size]
    return torch.split(order, size)[start::step] if len(order) else ()
