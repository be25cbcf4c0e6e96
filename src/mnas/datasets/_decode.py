"""Image files -> pixels, with Pillow."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image

Box = tuple[float, float, float, float]  # left, top, right, bottom

# What Pillow raises on files that are empty, cut short, not images or absurdly large.
BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


def decode_centre(path: Path, channels: int, resolution: int, share: float = 1.0) -> torch.Tensor:
    """The central square, `share` of the shorter side wide, as uint8 (channels, resolution, resolution).

    Raises:
        one of BROKEN: the file is not a readable image.
    """
    with Image.open(path) as image:
        # A JPEG is decoded at a fraction of its size where that leaves pixels enough: several times as quick.
        image.draft(None, (2 * resolution, 2 * resolution))
        width, height = image.size
        side = share * min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return _pixels(image, (left, top, left + side, top + side), channels, resolution)


def decode_random(path: Path, channels: int, resolution: int, generator: random.Random) -> torch.Tensor:
    """A random crop as the paper's training takes it, as uint8 (channels, resolution, resolution).

    Raises:
        one of BROKEN: the file is not a readable image.
    """
    with Image.open(path) as image:
        image.draft(None, (2 * resolution, 2 * resolution))
        return _pixels(image, _random_box(*image.size, generator), channels, resolution)


def _random_box(width: int, height: int, generator: random.Random) -> Box:
    """Inception's crop: 8 to 100 % of the area, aspect 3/4 to 4/3, ten attempts, else the central square."""
    for _ in range(10):
        area = generator.uniform(0.08, 1.0) * width * height
        aspect = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, high = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if wide <= width and high <= height:
            left, top = generator.uniform(0, width - wide), generator.uniform(0, height - high)
            return left, top, left + wide, top + high
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image, or where it has 16 bits of grey the upper eight: Pillow's own conversion makes these white."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image, dtype=np.int64).clip(0, 65535) >> 8).astype(np.uint8))


def _pixels(image: Image.Image, box: Box, channels: int, resolution: int) -> torch.Tensor:
    converted = _eight_bits(image).convert("L" if channels == 1 else "RGB")
    resized = converted.resize((resolution, resolution), Image.Resampling.BILINEAR, box=box)
    pixels = torch.from_numpy(np.array(resized))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)
