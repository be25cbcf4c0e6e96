"""The inputs on which quantization looks at a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mnas.devices.runtimes._contract import Array

if TYPE_CHECKING:
    from mnas.space import Architecture

_SEED = 1  # not that of the input which is measured
_COUNT = 2  # a convolution sees thousands of positions of each: more inputs moved no output by more than a tenth


def calibration_images(architecture: Architecture) -> list[Array]:
    """Seeded inputs, each (1, channels, resolution, resolution)."""
    generator = np.random.default_rng(_SEED)
    shape = (1, architecture.input_channels, architecture.resolution, architecture.resolution)
    return [generator.standard_normal(shape, dtype=np.float32) for _ in range(_COUNT)]
