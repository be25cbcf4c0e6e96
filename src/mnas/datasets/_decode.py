"""Encoded images -> pixels, with Pillow."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image, ImageOps

from mnas.datasets._source import Source

Box = tuple[float, float, float, float]  # left, top, right, bottom


class DecodeError(Exception):
    """An image cannot be read: empty, cut short, not an image or absurdly large."""


class WrongSizeError(DecodeError):
    """A picture is of another size than its annotations say, so that its boxes are elsewhere."""


def decode_centre(source: Source, index: int, channels: int, resolution: int, share: float = 1.0) -> torch.Tensor:
    """The central square, `share` of the shorter side wide, as uint8 (channels, resolution, resolution).

    Raises:
        DecodeError: not a readable image.
    """
    with _opened(source, index, resolution) as image:
        width, height = image.size
        side = share * min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return _pixels(image, (left, top, left + side, top + side), channels, resolution)


def decode_random(
    source: Source, index: int, channels: int, resolution: int, generator: random.Random
) -> torch.Tensor:
    """A random crop as the paper's training takes it, as uint8 (channels, resolution, resolution).

    Raises:
        DecodeError: not a readable image.
    """
    with _opened(source, index, resolution) as image:
        return _pixels(image, _random_box(*image.size, generator), channels, resolution)


def decode_window(
    source: Source, index: int, channels: int, resolution: int, size: tuple[int, int], window: Box
) -> torch.Tensor:
    """A window of an annotated picture, stretched to uint8 (channels, resolution, resolution).

    `size`: width and height that the annotations are of; `window`: as fractions of the picture.

    Raises:
        WrongSizeError: the picture is of another size.
        DecodeError: not a readable image.
    """
    with _opened(source, index, resolution, size) as image:
        width, height = image.size
        left, top, right, bottom = window
        return _pixels(image, (left * width, top * height, right * width, bottom * height), channels, resolution)


@contextmanager
def _opened(
    source: Source, index: int, resolution: int, size: tuple[int, int] | None = None
) -> Iterator[Image.Image]:
    """The image, upright as its EXIF orientation says, of files with several images the first.

    With the `size` that its annotations are of, it is checked and stays as it is stored.
    """
    try:
        with Image.open(source.open(index)) as image:
            if size is not None and image.size != size:
                raise WrongSizeError(_sizes(size, image.size))
            # A JPEG is decoded at a fraction of its size where that leaves pixels enough: several times as quick.
            image.draft(None, (2 * resolution, 2 * resolution))
            # Boxes in COCO's and VOC's files are of the pixels as they are stored: turning those would leave the
            # boxes where they were.
            if size is None:
                ImageOps.exif_transpose(image, in_place=True)
            yield image
    except WrongSizeError:
        raise
    # Pillow's readers raise nearly anything: seven classes, SyntaxError and RuntimeError among them, in 25,000 files
    # of 17 formats with bytes changed by chance. One that a list here lacked would end a training, epochs later and
    # without the file's name. A bug of ours would break all images, and so be told.
    except Exception as error:
        raise DecodeError(f"{type(error).__name__}: {error}") from error


def _sizes(annotated: tuple[int, int], stored: tuple[int, int]) -> str:
    return (
        f"its annotations are of {annotated[0]} x {annotated[1]} pixels, the picture as it is stored (not turned by "
        f"EXIF) has {stored[0]} x {stored[1]}"
    )


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
