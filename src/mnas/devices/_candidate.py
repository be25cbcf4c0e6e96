"""Candidate: an architecture made ready to be timed, with what its outputs must be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mnas.devices._timing import Stopwatch
from mnas.devices.runtimes import Array, Precision, Runtime
from mnas.errors import ExportError, MeasurementError
from mnas.models import Network, build_model
from mnas.space import Architecture

_SEED = 0  # of weights and input: every network is measured on the same ones


@dataclass(frozen=True)
class Candidate:
    """A converted network, an input for it and torch's outputs on that input."""

    architecture: Architecture
    model: bytes
    images: Array  # (1, channels, resolution, resolution)
    expected: Array  # (1, classes)
    conversion_seconds: float  # building the module, writing the model; or getting it back
    precision: Precision = "fp32"  # that the model computes in
    conversion: Mapping[str, Any] = field(default_factory=lambda: {"from": "conversion"})

    @classmethod
    def convert(cls, architecture: Architecture, runtime: Runtime) -> Candidate:
        """The architecture with seeded weights, for a runtime.

        Raises:
            MeasurementError: the runtime cannot convert it.
        """
        with Stopwatch() as watch, _one_thread():
            network = build_model(architecture, seed=_SEED).eval()
            model = _converted(network, runtime)
        images = _images(architecture)
        with _one_thread(), torch.inference_mode():
            expected = network(torch.from_numpy(images)).numpy()
        return cls(architecture, model, images, expected, watch.seconds, runtime.precision)

    @classmethod
    def remembered(
        cls, architecture: Architecture, model: bytes, expected: Array, seconds: float, precision: Precision
    ) -> Candidate:
        """One that was converted before, or elsewhere."""
        return cls(architecture, model, _images(architecture), expected, seconds, precision)

    @property
    def details(self) -> dict[str, Any]:
        """What is recorded with a latency of it."""
        return {
            "conversion_seconds": self.conversion_seconds,
            "conversion": dict(self.conversion),
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


def _converted(network: Network, runtime: Runtime) -> bytes:
    try:
        return runtime.convert(network)
    except ExportError as error:
        raise MeasurementError(str(error)) from error


def _images(architecture: Architecture) -> Array:
    shape = (1, architecture.input_channels, architecture.resolution, architecture.resolution)
    return np.random.default_rng(_SEED).standard_normal(shape, dtype=np.float32)


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
