"""Module -> file that a device runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnas.export._onnx import OPSET, onnx_model, save_onnx

__all__ = ["OPSET", "onnx_model", "save_onnx"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("mnas.export._onnx"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
