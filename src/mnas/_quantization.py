"""Quantization: how int8 values stand for real numbers where a file's input or output is int8.

Exports, runtimes and phones share it, and boards get it beside the runtimes (`devices/_agent.py`), so it needs
numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_LOWEST, _HIGHEST = -128, 127


@dataclass(frozen=True)
class Quantization:
    """An int8 value stands for (value - zero) x scale."""

    scale: float
    zero: int

    @classmethod
    def of_litert(cls, tensor: Mapping[str, Any]) -> Quantization | None:
        """Of an input or output, as LiteRT's interpreter describes it; None: it is float32."""
        if tensor["dtype"] is not np.int8:
            return None
        scale, zero = tensor["quantization"]
        return cls(float(scale), int(zero))

    def encode(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """The nearest int8 values."""
        steps: npt.NDArray[np.float32] = np.round(values / self.scale) + self.zero
        return steps.clip(_LOWEST, _HIGHEST).astype(np.int8)

    def decode(self, values: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """The real numbers."""
        return (values.astype(np.float32) - self.zero) * np.float32(self.scale)


def litert_outputs(interpreter: Any) -> list[dict[str, Any]]:
    """The outputs by the alphabet: a detector's boxes before its scores. The interpreter has them in any order."""
    named = interpreter.get_signature_runner().get_output_details()
    return [named[name] for name in sorted(named)]
