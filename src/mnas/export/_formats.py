"""Formats: a trained network's bytes in each, and the outputs of those bytes in the format's own runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mnas._quantization import Quantization, litert_outputs
from mnas.export._decoded_detector import DecodedDetector
from mnas.export._onnx import Array
from mnas.models import Detector, TrainedModel

if TYPE_CHECKING:
    import onnx

Outputs = tuple[np.ndarray[Any, Any], ...]  # of a file on one image, in their order


def converted(
    trained: TrainedModel,
    name: str,
    calibration: Sequence[Array] | None = None,
    *,
    dynamic_batch: bool = False,
    nms_above: float | None = None,
) -> bytes:
    """The file's bytes; int8 where there are inputs to calibrate on. All but ONNX want the module in evaluation mode.

    Of a detector they give boxes and scores, or detections that score more than `nms_above` (ONNX).

    Raises:
        ExportError: the format's converter cannot.
    """
    if name == "onnx":
        return _onnx_file(trained, calibration, dynamic_batch, nms_above)
    module = trained.module
    network = DecodedDetector(module, trained.is_multilabel) if isinstance(module, Detector) else module
    if name == "litert":
        from mnas.export._litert import litert_model

        return litert_model(network, calibration)
    from mnas.export._executorch import executorch_model

    return executorch_model(network, calibration)


def _onnx_file(
    trained: TrainedModel, calibration: Sequence[Array] | None, dynamic_batch: bool, nms_above: float | None
) -> bytes:
    from onnx import helper

    model = _onnx_model(trained, calibration, dynamic_batch, nms_above)
    facts = {"preprocessing": asdict(trained.preprocessing), "class_names": list(trained.class_names)}
    texts = {key: json.dumps(value) for key, value in facts.items()}
    helper.set_model_props(model, {"architecture": str(trained.architecture), **texts})
    return bytes(model.SerializeToString())


def _onnx_model(
    trained: TrainedModel, calibration: Sequence[Array] | None, dynamic_batch: bool, nms_above: float | None
) -> onnx.ModelProto:
    from mnas.export._onnx import onnx_model
    from mnas.export._onnx_detector import onnx_detector_model
    from mnas.export._onnx_int8 import onnx_int8_model

    module = trained.module
    if isinstance(module, Detector):
        return onnx_detector_model(
            module,
            is_multilabel=trained.is_multilabel,
            nms_above=nms_above,
            dynamic_batch=dynamic_batch,
            calibration=calibration,
        )
    if calibration is None:
        return onnx_model(module, dynamic_batch=dynamic_batch)
    return onnx_int8_model(module, calibration, dynamic_batch=dynamic_batch)


def outputs(name: str, data: bytes, images: Array) -> list[Outputs]:
    """What a file's bytes give in their runtime, one image after the other."""
    run = {"onnx": _run_onnx, "litert": _run_litert, "executorch": _run_executorch}[name]
    return run(data, np.split(images, len(images)))


def _run_onnx(data: bytes, images: Sequence[Array]) -> list[Outputs]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: its warnings are about graph clean-ups
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    return [tuple(session.run(None, {source: image})) for image in images]


def _run_litert(data: bytes, images: Sequence[Array]) -> list[Outputs]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (source,), targets = interpreter.get_input_details(), litert_outputs(interpreter)
    takes, gives = Quantization.of_litert(source), [Quantization.of_litert(target) for target in targets]
    found = []
    for image in images:
        interpreter.set_tensor(source["index"], takes.encode(image) if takes else image)
        interpreter.invoke()
        values = [interpreter.get_tensor(target["index"]) for target in targets]
        found.append(tuple(gave.decode(v) if gave else np.array(v) for v, gave in zip(values, gives, strict=True)))
    return found


def _run_executorch(data: bytes, images: Sequence[Array]) -> list[Outputs]:
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(data).load_method("forward")
    inputs = [torch.from_numpy(np.ascontiguousarray(image)) for image in images]
    return [tuple(np.array(value.numpy()) for value in method.execute([image])) for image in inputs]
