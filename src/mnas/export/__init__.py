"""Module -> file that a device runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnas.export._apart import file_outputs
    from mnas.export._check import Tolerance
    from mnas.export._check_detector import DetectorTolerance
    from mnas.export._description import read_description
    from mnas.export._executorch import executorch_model
    from mnas.export._export_detector import ExportedDetector, export_detector
    from mnas.export._export_model import Exported, export_model
    from mnas.export._format_facts import FORMATS, Format, check_formats
    from mnas.export._litert import litert_model
    from mnas.export._onnx import OPSET, onnx_model, save_onnx
    from mnas.export._onnx_detector import onnx_detector_model
    from mnas.export._onnx_int8 import onnx_int8_model
    from mnas.export._write_postprocess import write_postprocess

__all__ = [
    "FORMATS",
    "OPSET",
    "DetectorTolerance",
    "Exported",
    "ExportedDetector",
    "Format",
    "Tolerance",
    "check_formats",
    "executorch_model",
    "export_detector",
    "export_model",
    "file_outputs",
    "litert_model",
    "onnx_detector_model",
    "onnx_int8_model",
    "onnx_model",
    "read_description",
    "save_onnx",
    "write_postprocess",
]

_HOMES = {
    "FORMATS": "mnas.export._format_facts",
    "Exported": "mnas.export._export_model",
    "DetectorTolerance": "mnas.export._check_detector",
    "ExportedDetector": "mnas.export._export_detector",
    "Format": "mnas.export._format_facts",
    "Tolerance": "mnas.export._check",
    "check_formats": "mnas.export._format_facts",
    "export_detector": "mnas.export._export_detector",
    "export_model": "mnas.export._export_model",
    "file_outputs": "mnas.export._apart",
    "OPSET": "mnas.export._onnx",
    "executorch_model": "mnas.export._executorch",
    "litert_model": "mnas.export._litert",
    "onnx_detector_model": "mnas.export._onnx_detector",
    "onnx_int8_model": "mnas.export._onnx_int8",
    "onnx_model": "mnas.export._onnx",
    "read_description": "mnas.export._description",
    "save_onnx": "mnas.export._onnx",
    "write_postprocess": "mnas.export._write_postprocess",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
