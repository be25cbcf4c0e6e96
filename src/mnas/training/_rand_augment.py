"""RandAugment: random operations on the pixels of each image, done for all images of one operation at once.

Libraries have it image by image, on the CPU. Over a batch the same arithmetic also runs on a GPU, and needs no
loader processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_PER_IMAGE = 2  # operations
_PROBABILITY = 0.5  # of each of them
_SPREAD = 0.5  # of the magnitudes, of 10
_GREY = 128.0  # what is seen beyond an image's edge
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Operations:
    """Of each image, once per operation: which one (-1: none), how strong from 0 to 1, and which way. All (k, n)."""

    numbers: Tensor
    strengths: Tensor
    signs: Tensor


class RandAugment:
    """Two operations per image (Cubuk et al. 2020), each with a chance of one half, as timm's `rand-mM-mstd0.5-inc1`.

    A higher magnitude (0 to 10) means a stronger change in every operation.
    """

    def __init__(self, magnitude: float) -> None:
        self._magnitude = magnitude

    def draw(self, count: int, generator: torch.Generator) -> Operations:
        """Chances for so many images."""
        shape = (_PER_IMAGE, count)
        numbers = torch.randint(len(_OPERATIONS), shape, generator=generator)
        is_done = torch.rand(shape, generator=generator) < _PROBABILITY
        magnitudes = self._magnitude + _SPREAD * torch.randn(shape, generator=generator)
        signs = torch.randint(2, shape, generator=generator) * 2.0 - 1
        return Operations(torch.where(is_done, numbers, -1), magnitudes.clamp(0, 10) / 10, signs)

    def apply(self, pixels: Tensor, operations: Operations) -> Tensor:
        """uint8 pixels (n, channels, height, width) -> the same, changed."""
        images = pixels.to(torch.float32)
        for numbers, strengths, signs in zip(
            operations.numbers[:, : len(pixels)], operations.strengths, operations.signs, strict=True
        ):
            for number, operation in enumerate(_OPERATIONS):
                chosen = (numbers == number).nonzero()[:, 0]
                if len(chosen):
                    strength = strengths[chosen].view(-1, 1, 1, 1).to(pixels.device)
                    sign = signs[chosen].view(-1, 1, 1, 1).to(pixels.device)
                    places = chosen.to(pixels.device)
                    images[places] = operation(images[places], strength, sign).clamp(0, 255)
        return images.round().to(torch.uint8).contiguous(memory_format=torch.channels_last)


def _stretch(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) * 255 / (high - low).clamp(min=1), images)


def _equalize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    count, channels, height, width = images.shape
    values = images.reshape(count * channels, -1).to(torch.int64)
    counts = torch.zeros(count * channels, 256, device=images.device)
    counts.scatter_add_(1, values, torch.ones_like(values, dtype=counts.dtype))
    shares = counts.cumsum(1) / (height * width)
    first = shares.gather(1, values.amin(1, keepdim=True))
    table = torch.where(
        first < 1, (shares - first) / (1 - first).clamp(min=1e-6) * 255, torch.arange(256.0).to(shares)
    )
    return table.gather(1, values).view(images.shape)


def _invert(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return 255 - images


def _posterize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    step = 2 ** (4 + (strength * 4).floor()).clamp(max=7)  # 4 bits are left at the weakest, 1 at the strongest
    return (images / step).floor() * step


def _solarize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return torch.where(images < 256 * (1 - strength), images, 255 - images)


def _solarize_add(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return torch.where(images < 128, images + 110 * strength, images)


def _brightness(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return images * _factor(strength, sign)


def _colour(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return _blend(_grey(images), images, _factor(strength, sign))


def _contrast(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return _blend(_grey(images).mean((2, 3), keepdim=True), images, _factor(strength, sign))


def _sharpness(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    channels = images.shape[1]
    kernel = torch.ones(channels, 1, 3, 3, device=images.device)
    kernel[..., 1, 1] = 5
    smooth = F.conv2d(F.pad(images, (1,) * 4, mode="replicate"), kernel / 13, groups=channels)
    return _blend(smooth, images, _factor(strength, sign))


def _rotate(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    angle = (strength * sign).view(-1) * math.radians(30)
    return _move(images, torch.cos(angle), -torch.sin(angle), torch.sin(angle), torch.cos(angle))


def _shear_x(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return _move(images, b=0.3 * (strength * sign).view(-1))


def _shear_y(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return _move(images, c=0.3 * (strength * sign).view(-1))


def _translate_x(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return _move(images, x=0.9 * (strength * sign).view(-1))  # of half the side: up to 45 % of the image


def _translate_y(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    return _move(images, y=0.9 * (strength * sign).view(-1))


_OPERATIONS: tuple[Callable[[Tensor, Tensor, Tensor], Tensor], ...] = (
    _stretch, _equalize, _invert, _posterize, _solarize, _solarize_add, _brightness, _colour, _contrast, _sharpness,
    _rotate, _shear_x, _shear_y, _translate_x, _translate_y,
)  # fmt: skip


def _factor(strength: Tensor, sign: Tensor) -> Tensor:
    return 1 + 0.9 * strength * sign


def _blend(other: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return other + (images - other) * factor


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] != len(_LUMA):
        return images.mean(1, keepdim=True)
    return (images * torch.tensor(_LUMA, device=images.device).view(1, -1, 1, 1)).sum(1, keepdim=True)


def _move(
    images: Tensor,
    a: Tensor | float = 1.0,
    b: Tensor | float = 0.0,
    c: Tensor | float = 0.0,
    d: Tensor | float = 1.0,
    x: Tensor | float = 0.0,
    y: Tensor | float = 0.0,
) -> Tensor:
    """Each pixel from where [[a, b, x], [c, d, y]] sends its place, in halves of the side from the centre."""
    matrix = torch.empty(len(images), 2, 3, device=images.device)
    for (row, column), value in {(0, 0): a, (0, 1): b, (0, 2): x, (1, 0): c, (1, 1): d, (1, 2): y}.items():
        matrix[:, row, column] = value
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images - _GREY, grid, align_corners=False) + _GREY
