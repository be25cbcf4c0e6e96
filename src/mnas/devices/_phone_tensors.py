"""A network's input and outputs as the bytes that a tool reads and writes: float32, or int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mnas.devices.runtimes import Array, Runtime
from mnas.errors import MeasurementError


@dataclass(frozen=True)
class Quantization:
    """How int8 values stand for real numbers: (value - zero) x scale."""

    scale: float
    zero: int


@dataclass(frozen=True)
class Tensors:
    """What a converted network takes and gives. None: float32."""

    source: Quantization | None = None
    target: Quantization | None = None

    @classmethod
    def of(cls, runtime: Runtime, model: bytes) -> Tensors:
        """LiteRT's int8 files have int8 inputs and outputs; all others have float32."""
        if (runtime.name, runtime.precision) != ("litert", "int8"):
            return cls()
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=model)
        return cls(_quantization(interpreter.get_input_details()), _quantization(interpreter.get_output_details()))

    def encode(self, images: Array) -> bytes:
        """The input's bytes."""
        if self.source is None:
            return images.tobytes()
        steps = np.round(images / self.source.scale) + self.source.zero
        return bytes(np.clip(steps, -128, 127).astype(np.int8).tobytes())

    def decode(self, output: bytes, count: int) -> Array:
        """The `count` outputs in float32.

        Raises:
            MeasurementError: they are not so many.
        """
        kind = np.float32 if self.target is None else np.int8
        expected = count * np.dtype(kind).itemsize
        if len(output) != expected:
            raise MeasurementError(
                f"the outputs should be {expected} bytes of {kind.__name__}, and {len(output)} came"
            )
        values = np.frombuffer(output, kind).astype(np.float32)
        return values if self.target is None else (values - self.target.zero) * np.float32(self.target.scale)


def _quantization(details: list[dict[str, Any]]) -> Quantization | None:
    (tensor,) = details
    scale, zero = tensor["quantization"]
    return Quantization(float(scale), int(zero)) if tensor["dtype"] is np.int8 else None
