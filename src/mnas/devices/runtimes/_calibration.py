"""The inputs on which quantization looks at a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mnas.devices.runtimes._contract import Array, Precision

if TYPE_CHECKING:
    from mnas.models import Network
    from mnas.space import Architecture

_SEED = 1  # not that of the input which is measured
# What is seen of a tensor has to span what the measured input makes of it. Two inputs of 224 px have positions
# enough; with two of 64 px, outputs of narrow networks were off by up to .21, with eight by .15.
_PIXELS, _LEAST, _MOST = 2 * 224**2, 2, 16


def calibration_images(architecture: Architecture) -> list[Array]:
    """Seeded inputs, each (1, channels, resolution, resolution)."""
    generator = np.random.default_rng(_SEED)
    count = min(_MOST, max(_LEAST, _PIXELS // architecture.resolution**2))
    shape = (1, architecture.input_channels, architecture.resolution, architecture.resolution)
    return [generator.standard_normal(shape, dtype=np.float32) for _ in range(count)]


def calibration_of(network: Network, precision: Precision) -> list[Array] | None:
    """What a conversion in that precision is given: seeded inputs in int8, none in fp32."""
    return calibration_images(network.architecture) if precision == "int8" else None
