"""RandomErasing: rectangles of images replaced by noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_AREA = (0.02, 1 / 3)  # of the image
_ASPECT = (0.3, 1 / 0.3)


@dataclass(frozen=True)
class ErasedParts:
    """Of each image: its rectangle's height, width, top and left, as shares (n,); and the seed of the noise."""

    is_erased: Tensor
    heights: Tensor
    widths: Tensor
    tops: Tensor
    lefts: Tensor
    seed: int


class RandomErasing:
    """Replaces a rectangle of 2 to 33 % of some images by normal noise (Zhong et al. 2020, random values).

    Rectangles that would be higher or wider than the image are cut to it, in place of being drawn again.
    """

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def draw(self, count: int, generator: torch.Generator) -> ErasedParts:
        """Chances for so many images."""
        chance, area, aspect, top, left = torch.rand(5, count, generator=generator)
        area = _AREA[0] + area * (_AREA[1] - _AREA[0])
        low, high = map(math.log, _ASPECT)
        aspect = torch.exp(low + aspect * (high - low))
        heights, widths = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
        seed = int(torch.randint(2**62, (), generator=generator))
        return ErasedParts(
            chance < self._probability, heights, widths, top * (1 - heights), left * (1 - widths), seed
        )

    def apply(self, images: Tensor, parts: ErasedParts) -> Tensor:
        """Normalized images (n, channels, height, width) with their rectangles erased."""
        count, _, height, width = images.shape
        inside = _between(parts.tops, parts.heights, height)[:count, :, None]
        inside = inside & _between(parts.lefts, parts.widths, width)[:count, None, :]
        inside = (inside & parts.is_erased[:count, None, None])[:, None].to(images.device)
        generator = torch.Generator(images.device).manual_seed(parts.seed)
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        return torch.where(inside, noise, images).contiguous(memory_format=torch.channels_last)


def _between(starts: Tensor, lengths: Tensor, pixels: int) -> Tensor:
    """Whether each of so many pixels lies in the part (n, pixels)."""
    places = (torch.arange(pixels) + 0.5) / pixels
    return (places >= starts[:, None]) & (places < (starts + lengths)[:, None])
