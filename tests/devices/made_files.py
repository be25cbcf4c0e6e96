"""A network as a file with trained weights would be: not those that measurements have."""

from __future__ import annotations

import numpy as np

from mnas.devices import ModelFile
from mnas.devices.runtimes import OnnxRuntime
from mnas.export import file_outputs
from mnas.models import build_model
from mnas.space import Architecture

_SEED = 5


def made_file(architecture: Architecture) -> ModelFile:
    """An ONNX file, two inputs and what it gives for them."""
    data = OnnxRuntime().convert(build_model(architecture, seed=_SEED).eval())
    side = architecture.resolution
    images = np.random.default_rng(_SEED).normal(size=(2, architecture.input_channels, side, side)).astype(np.float32)
    return ModelFile(architecture, data, "fp32", images, file_outputs("onnx", data, images))
