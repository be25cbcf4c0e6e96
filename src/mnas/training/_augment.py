"""Random shifts and flips of a batch of small images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, shift: int, mirror: bool, generator: torch.Generator) -> Tensor:
    """Float images (n, channels, height, width), each shifted by up to `shift` pixels and mirrored by chance.

    What a shift brings in is zero. With channels last in, channels last comes out.
    """
    if not shift and not mirror:
        return images
    count, _, height, width = images.shape
    rows, columns = torch.arange(height).expand(count, -1), torch.arange(width).expand(count, -1)
    if mirror:
        is_flipped = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(is_flipped, width - 1 - columns, columns)
    if shift:
        images = F.pad(images, (shift,) * 4)
        offsets = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
        rows, columns = rows + offsets[0], columns + offsets[1]
    # One gather for the whole batch: image by image it would cost more than the network.
    chosen = images.permute(0, 2, 3, 1)[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return chosen.permute(0, 3, 1, 2)
