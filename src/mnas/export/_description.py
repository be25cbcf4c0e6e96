"""The description of an exported file: what its format does not say itself, as JSON beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mnas._quantization import Quantization, litert_outputs
from mnas.errors import SettingsError
from mnas.models import TrainedModel

VERSION = 1
Sides = dict[str, list[dict[str, Any]]]  # "inputs" and "outputs": name, shape, type, quantization of each
_SCALAR_TYPES = {1: "int8", 6: "float32"}  # ExecuTorch's numbers of them


def description_path(file: Path) -> Path:
    """Where a file's description lies: beside it."""
    return file.with_name(f"{file.name}.json")


def description(trained: TrainedModel, facts: Mapping[str, Any], sides: Sides) -> bytes:
    """The JSON file: `facts` about the file itself, what goes in and comes out, and what both mean."""
    document = {
        "version": VERSION,
        **facts,
        "architecture": str(trained.architecture),
        "preprocessing": asdict(trained.preprocessing),
        "class_names": list(trained.class_names),
        "is_multilabel": trained.is_multilabel,
        **sides,
    }
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_description(file: Path) -> dict[str, Any]:
    """What the description beside an exported file says of it.

    Raises:
        SettingsError: the file or its description is not there, is damaged, or describes another file.
    """
    beside = description_path(file)
    for path in (file, beside):
        if not path.is_file():
            raise SettingsError(
                f"there is no {path}: mnas export writes a file and its description beside each other"
            )
    try:
        found: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        digest = found["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{beside} is damaged: {error}. Export the model again") from error
    if digest != hashlib.sha256(file.read_bytes()).hexdigest():
        raise SettingsError(f"{beside} describes another file than {file}: export the model again")
    return found


def sides(name: str, data: bytes) -> Sides:
    """The inputs and outputs of a file's bytes, as its runtime tells them. A quantization of None: real numbers."""
    return {"onnx": _of_onnx, "litert": _of_litert, "executorch": _of_executorch}[name](data)


def _of_onnx(data: bytes) -> Sides:
    import onnx

    graph = onnx.load_from_string(data).graph
    return {"inputs": [_onnx_tensor(value) for value in graph.input],
            "outputs": [_onnx_tensor(value) for value in graph.output]}  # fmt: skip


def _onnx_tensor(value: Any) -> dict[str, Any]:
    from onnx import helper

    tensor = value.type.tensor_type
    shape = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
    return _tensor(value.name, shape, str(helper.tensor_dtype_to_np_dtype(tensor.elem_type)))


def _of_litert(data: bytes) -> Sides:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)

    def tensors(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            _tensor(one["name"], one["shape"].tolist(), np.dtype(one["dtype"]).name, Quantization.of_litert(one))
            for one in details
        ]

    return {
        "inputs": tensors(interpreter.get_input_details()),
        "outputs": tensors(litert_outputs(interpreter)),
    }


def _of_executorch(data: bytes) -> Sides:
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(data).metadata("forward")

    def tensor(meta: Any) -> dict[str, Any]:
        return _tensor(None, list(meta.sizes()), _SCALAR_TYPES[meta.dtype()])  # they go by their place

    return {
        "inputs": [tensor(method.input_tensor_meta(place)) for place in range(method.num_inputs())],
        "outputs": [tensor(method.output_tensor_meta(place)) for place in range(method.num_outputs())],
    }


def _tensor(
    name: str | None, shape: list[int | str], type_name: str, quantization: Quantization | None = None
) -> dict[str, Any]:
    encoded = asdict(quantization) if quantization else None
    return {"name": name, "shape": shape, "type": type_name, "quantization": encoded}
