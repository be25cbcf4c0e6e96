"""Formats: a trained network's bytes in each, and the outputs of those bytes in the format's own runtime."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Literal, get_args

import numpy as np
import torch

from mnas._quantization import Quantization
from mnas.errors import did_you_mean, needs_extra
from mnas.export._onnx import Array
from mnas.models import TrainedModel

Format = Literal["onnx", "litert", "executorch"]


@dataclass(frozen=True)
class FormatFacts:
    """What a format needs and how its files end."""

    suffix: str
    packages: tuple[str, ...]  # as they are imported
    distributions: tuple[str, ...]  # of which the versions are recorded
    extra: str | None = None  # that brings them; None: they come with mnas


FORMATS: dict[str, FormatFacts] = {
    "onnx": FormatFacts(".onnx", ("onnx", "onnxruntime"), ("onnx", "onnxruntime")),
    "litert": FormatFacts(
        ".tflite",
        ("litert_torch", "torchao", "ai_edge_litert"),
        ("ai-edge-litert", "litert-torch", "torchao", "torch"),
        "litert",
    ),
    "executorch": FormatFacts(
        ".pte", ("executorch", "torchao"), ("executorch", "torchao", "torch"), "executorch"
    ),
}  # fmt: skip


def check_formats(formats: Sequence[str]) -> None:
    """Refuse a format that is unknown, or whose libraries are missing.

    Raises:
        SettingsError: naming the nearest format, or the extra that brings the library.
    """
    for name in formats:
        if name not in FORMATS:
            raise did_you_mean("export format", name, get_args(Format))
        for package in FORMATS[name].packages:
            if importlib.util.find_spec(package) is None:
                raise needs_extra(package, FORMATS[name].extra or name)


def versions(name: str) -> dict[str, str]:
    """The libraries that convert to a format and run it, and mnas."""
    return {package: version(package) for package in (*FORMATS[name].distributions, "mnas")}


def converted(trained: TrainedModel, name: str, calibration: Sequence[Array] | None, dynamic_batch: bool) -> bytes:
    """The file's bytes; int8 where there are inputs to calibrate on. All but ONNX want the module in evaluation mode.

    Raises:
        ExportError: the format's converter cannot.
    """
    if name == "litert":
        from mnas.export._litert import litert_model

        return litert_model(trained.module, calibration)
    if name == "executorch":
        from mnas.export._executorch import executorch_model

        return executorch_model(trained.module, calibration)
    return _onnx_file(trained, calibration, dynamic_batch)


def _onnx_file(trained: TrainedModel, calibration: Sequence[Array] | None, dynamic_batch: bool) -> bytes:
    from onnx import helper

    from mnas.export._onnx import onnx_model
    from mnas.export._onnx_int8 import onnx_int8_model

    if calibration is None:
        model = onnx_model(trained.module, dynamic_batch=dynamic_batch)
    else:
        model = onnx_int8_model(trained.module, calibration, dynamic_batch=dynamic_batch)
    facts = {"preprocessing": asdict(trained.preprocessing), "class_names": list(trained.class_names)}
    texts = {key: json.dumps(value) for key, value in facts.items()}
    helper.set_model_props(model, {"architecture": str(trained.architecture), **texts})
    return bytes(model.SerializeToString())


def outputs(name: str, data: bytes, images: Array) -> Array:
    """The logits (n, classes) that a file's bytes give in their runtime, one image after the other."""
    run = {"onnx": _run_onnx, "litert": _run_litert, "executorch": _run_executorch}[name]
    return np.concatenate(run(data, np.split(images, len(images)))).astype(np.float32)


def _run_onnx(data: bytes, images: Sequence[Array]) -> list[Array]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: its warnings are about graph clean-ups
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    return [session.run(None, {source: image})[0] for image in images]


def _run_litert(data: bytes, images: Sequence[Array]) -> list[Array]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    takes, gives = Quantization.of_litert(source), Quantization.of_litert(target)
    found = []
    for image in images:
        interpreter.set_tensor(source["index"], takes.encode(image) if takes else image)
        interpreter.invoke()
        values = interpreter.get_tensor(target["index"])
        found.append(gives.decode(values) if gives else np.array(values))
    return found


def _run_executorch(data: bytes, images: Sequence[Array]) -> list[Array]:
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(data).load_method("forward")
    return [np.array(method.execute([torch.from_numpy(np.ascontiguousarray(image))])[0].numpy()) for image in images]
