"""A network's input and outputs as the bytes that a tool reads and writes: float32, or int8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnas._quantization import Quantization
from mnas.devices.runtimes import Array, Runtime
from mnas.errors import MeasurementError


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
        (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
        return cls(Quantization.of_litert(source), Quantization.of_litert(target))

    def encode(self, images: Array) -> bytes:
        """The input's bytes."""
        return bytes((images if self.source is None else self.source.encode(images)).tobytes())

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
        if self.target is None:
            return np.frombuffer(output, np.float32)
        return self.target.decode(np.frombuffer(output, np.int8))
