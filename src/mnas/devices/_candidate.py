"""Candidate: an architecture made ready to be timed, with what its outputs must be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mnas.devices._timing import Stopwatch
from mnas.devices.runtimes import Array, Precision, Runtime
from mnas.errors import MeasurementError
from mnas.models import build_model
from mnas.space import Architecture

_SEED = 0  # of weights and input: every network is measured on the same ones


@dataclass(frozen=True)
class Candidate:
    """A converted network, an input for it and torch's outputs on that input."""

    model: bytes
    images: Array  # (1, channels, resolution, resolution)
    expected: Array  # (1, classes)
    conversion_seconds: float  # building the module, writing the model
    precision: Precision = "fp32"  # that the model computes in

    @classmethod
    def convert(cls, architecture: Architecture, runtime: Runtime) -> Candidate:
        """The architecture with seeded weights, for a runtime."""
        with Stopwatch() as watch, _one_thread():
            network = build_model(architecture, seed=_SEED).eval()
            model = runtime.convert(network)
        shape = (1, architecture.input_channels, architecture.resolution, architecture.resolution)
        images = np.random.default_rng(_SEED).standard_normal(shape, dtype=np.float32)
        with _one_thread(), torch.inference_mode():
            expected = network(torch.from_numpy(images)).numpy()
        return cls(model, images, expected, watch.seconds, runtime.precision)

    @property
    def details(self) -> dict[str, Any]:
        """What is recorded with a latency of it."""
        return {
            "conversion_seconds": self.conversion_seconds,
            "model_bytes": len(self.model),
            "model_sha256": hashlib.sha256(self.model).hexdigest(),
        }

    def check(self, output: bytes, shape: Sequence[int], tolerance: float) -> float:
        """How far an output is from torch's in fp32: at most `tolerance`.

        fp32: the largest difference, relative to the largest of torch's outputs. int8, where every output is off by
        some steps of its scale: the root of the summed squares of the differences, relative to that of the outputs.

        Raises:
            MeasurementError: it is above the tolerance: a wrong answer fast is a failure.
        """
        if tuple(shape) != self.expected.shape:
            raise MeasurementError(f"the outputs have the shape {tuple(shape)}, torch's {self.expected.shape}")
        order, of = (2, "their root mean square") if self.precision == "int8" else (np.inf, "the largest output")
        scale = max(_norm(self.expected, order), float(np.finfo(np.float32).tiny))
        difference = _norm(np.frombuffer(output, np.float32).reshape(shape) - self.expected, order) / scale
        if not difference <= tolerance:  # a NaN is above every tolerance
            raise MeasurementError(
                f"the outputs are wrong: they differ from torch's by {difference:.1e} of {of}, "
                f"where at most {tolerance:.0e} is allowed. Measure with another runtime, or report the network"
            )
        return difference


def _norm(values: Array, order: float) -> float:
    return float(np.linalg.norm(values.astype(np.float64).ravel(), order))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: on a busy machine several wait for each other, seconds for a small network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
