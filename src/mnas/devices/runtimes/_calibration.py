"""The inputs on which quantization looks at a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mnas.devices.runtimes._contract import Array, Precision

if TYPE_CHECKING:
    from mnas.models import BuiltModel
    from mnas.space import Architecture

SEED, CHECKED = 0, 8  # of the inputs on which outputs are checked, and how many
# What is seen of a tensor has to span what the checked inputs make of it, so they are among those looked at. Of 64 px
# narrow networks were off by up to .21 with two inputs to look at, with eight by .15.
_PIXELS, _MOST = 2 * 224**2, 16


def calibration_images(architecture: Architecture) -> list[Array]:
    """Seeded inputs, each (1, channels, resolution, resolution); the first are those that are checked."""
    count = min(_MOST, max(CHECKED, _PIXELS // architecture.resolution**2))
    return np.split(varied_images(architecture, count), count)


def varied_images(architecture: Architecture, count: int) -> Array:
    """Seeded inputs (count, channels, resolution, resolution) that differ as images do: in large areas, not in noise.

    Of pure noise a network's outputs are nearly the same whatever the noise. Each input is a coarse random
    pattern, of 1 to 8 cells a side, with noise on it. More inputs begin with the same ones.
    """
    generator = np.random.default_rng(SEED)
    size, channels = architecture.resolution, architecture.input_channels
    images = []
    for number in range(count):
        cells = min(size, (1, 2, 3, 5, 8)[number % 5])
        places = np.arange(size) * cells // size
        pattern = generator.standard_normal((channels, cells, cells), dtype=np.float32)
        noise = generator.standard_normal((channels, size, size), dtype=np.float32)
        images.append(pattern[:, places][:, :, places] + 0.5 * noise)
    return np.stack(images).astype(np.float32)


def calibration_of(network: BuiltModel, precision: Precision) -> list[Array] | None:
    """What a conversion in that precision is given: seeded inputs in int8, none in fp32."""
    return calibration_images(network.architecture) if precision == "int8" else None
