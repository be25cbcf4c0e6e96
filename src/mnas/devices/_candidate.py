"""Candidate: an architecture made ready to be timed, with what its outputs must be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mnas.devices._contract import ModelFile
from mnas.devices._timing import Stopwatch
from mnas.devices.runtimes import Array, Precision, Runtime, joined
from mnas.devices.runtimes._calibration import CHECKED, varied_images
from mnas.devices.runtimes._contract import BETWEEN_INPUTS_TOLERANCE
from mnas.errors import ExportError, MeasurementError
from mnas.models import BuiltModel, build
from mnas.space import Architecture

_SEED = 0  # of weights: every network is measured on the same ones
FILE = "file"  # where a candidate comes from that was not converted for being measured


@dataclass(frozen=True)
class Candidate:
    """A converted network, inputs for it and torch's outputs on those inputs."""

    architecture: Architecture
    model: bytes
    images: Array  # (inputs, channels, resolution, resolution); the first is timed, all are checked
    expected: Array  # (inputs, classes); a detector's: (inputs, default boxes, values)
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
            # In fp32 one input tells: torch on eight would take longer than the conversion.
            network, images, expected = seeded_network(architecture, CHECKED if runtime.precision == "int8" else 1)
            model = _converted(network, runtime)
        return cls(architecture, model, images, expected, watch.seconds, runtime.precision)

    @classmethod
    def remembered(
        cls, architecture: Architecture, model: bytes, expected: Array, seconds: float, precision: Precision
    ) -> Candidate:
        """One that was converted before, or elsewhere."""
        images = varied_images(architecture, len(expected))
        return cls(architecture, model, images, expected, seconds, precision)

    @classmethod
    def of_file(cls, file: ModelFile, runtime: Runtime) -> Candidate:
        """One that was exported, with what it gave where it was checked in place of torch's outputs.

        Raises:
            MeasurementError: it is in another precision than the runtime.
        """
        if file.precision != runtime.precision:
            raise MeasurementError(f"the file is in {file.precision}, the device measures in {runtime.precision}")
        expected = np.concatenate([joined(outputs) for outputs in file.outputs]).astype(np.float32)
        images = np.ascontiguousarray(file.images, np.float32)
        return cls(file.architecture, file.data, images, expected, 0.0, file.precision, {"from": FILE})

    @property
    def timed_images(self) -> Array:
        """The input that is timed, (1, channels, resolution, resolution)."""
        return self.images[:1]

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
        """How far outputs, of the first inputs or of all, are from torch's in fp32: at most `tolerance`.

        fp32: the largest difference, relative to the largest of torch's outputs. int8, where every output is off by
        some steps of its scale: the root of the summed squares of the differences, relative to that of the outputs;
        and, of several inputs, the same of how outputs differ between inputs, at most BETWEEN_INPUTS_TOLERANCE.

        Raises:
            MeasurementError: it is above the tolerance: a wrong answer fast is a failure.
        """
        expected = self.expected[: shape[0]]
        if tuple(shape) != expected.shape:
            raise MeasurementError(f"the outputs have the shape {tuple(shape)}, torch's {self.expected.shape}")
        found = np.frombuffer(output, np.float32).reshape(shape)
        if self.precision == "fp32":
            difference = relative(found, expected, np.inf)
            _refuse_above(tolerance, difference, "the largest output")
            return difference
        difference = relative(found, expected, 2)
        _refuse_above(tolerance, difference, "their root mean square")
        if len(expected) > 1:
            between = between_inputs(found, expected)
            _refuse_above(BETWEEN_INPUTS_TOLERANCE, between, "what they differ by between inputs")
        return difference


def _refuse_above(tolerance: float, difference: float, of: str) -> None:
    if not difference <= tolerance:  # a NaN is above every tolerance
        raise MeasurementError(
            f"the outputs are wrong: they differ from torch's by {difference:.1e} of {of}, "
            f"where at most {tolerance:.0e} is allowed. Measure with another runtime, or report the network"
        )


def seeded_network(architecture: Architecture, count: int) -> tuple[BuiltModel, Array, Array]:
    """The network with seeded weights, inputs (count, ...) that differ, and torch's outputs (count, classes)."""
    images = varied_images(architecture, count)
    network = build(architecture, seed=_SEED).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    return network, images, expected


def _converted(network: BuiltModel, runtime: Runtime) -> bytes:
    try:
        return runtime.convert(network)
    except ExportError as error:
        raise MeasurementError(str(error)) from error


def relative(found: Array, expected: Array, order: float) -> float:
    """The norm of the differences, relative to that of the expected values."""
    if not expected.size:  # a detector that found nothing
        return 0.0
    difference, size = (np.linalg.norm(v.astype(np.float64).ravel(), order) for v in (found - expected, expected))
    return float(difference / max(size, np.finfo(np.float32).tiny))


def between_inputs(found: Array, expected: Array) -> float:
    """How far (inputs, classes) are off in how they differ between inputs: relative, by the root of summed squares.

    Outputs of a network have much in common whatever the input, and a damaged one may keep that.
    """
    return relative(found - found.mean(0), expected - expected.mean(0), 2)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: on a busy machine several wait for each other, seconds for a small network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
