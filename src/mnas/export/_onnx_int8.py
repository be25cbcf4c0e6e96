"""ONNX files in int8: static quantization after training, by what tensors are on some inputs.

Tensors become uint8 and weights int8, one scale per output channel, written as pairs of QuantizeLinear and
DequantizeLinear that runtimes fuse into their int8 kernels. (With int8 tensors ONNX Runtime on x86 left a third of
the convolutions of random networks in fp32, at three times the latency.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx

from mnas.errors import ExportError
from mnas.export._onnx import Array, onnx_model
from mnas.models import BuiltModel

WEIGHTED = ("Conv", "Gemm", "MatMul")
# How a detector lays its predictions out. In float, what is predicted on each map keeps the scale that suits it.
_LAYOUT = {"Transpose", "Reshape", "Concat"}
_Ranges = dict[str, tuple[np.float32, np.float32]]


def onnx_int8_model(
    network: BuiltModel, calibration: Sequence[Array], *, dynamic_batch: bool = False
) -> onnx.ModelProto:
    """The network of `onnx_model`, quantized by what its tensors are on the calibration's inputs.

    Each of those is (1, channels, resolution, resolution), normalized.

    Raises:
        ExportError: a convolution or fully connected layer stayed in fp32.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    plain = onnx_model(network, dynamic_batch=dynamic_batch)
    ranges = _ranges(plain, calibration)
    data = {name: TensorData(lowest=low, highest=high) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(plain),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[node.name for node in plain.graph.node],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in plain.graph.node} - _LAYOUT),
        extra_options={},
    )
    quantizer.quantize_model()
    model: onnx.ModelProto = quantizer.model.model
    check_int8(model)
    return model


def check_int8(model: onnx.ModelProto) -> None:
    """Refuse a file in which a convolution or fully connected layer reads or writes fp32.

    Raises:
        ExportError: naming the operation and the layer.
    """
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    for node in model.graph.node:
        if node.op_type not in WEIGHTED:
            continue
        inputs = Counter(made_by.get(name) for name in node.input)
        written = readers.get(node.output[0], [])
        while written in (["Relu"], ["Clip"]):  # runtimes fuse these into the convolution
            activation = next(other for other in model.graph.node if node.output[0] in other.input)
            written = readers.get(activation.output[0], [])
        if set(inputs) != {"DequantizeLinear"} or set(written) != {"QuantizeLinear"}:
            raise ExportError(f"int8 was asked for, but {node.op_type} {node.name!r} is not quantized")


def _ranges(model: onnx.ModelProto, batches: Sequence[Array]) -> _Ranges:
    """The lowest and highest value of every tensor of the graph over some inputs."""
    import onnxruntime

    names = [output for node in model.graph.node for output in node.output]
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(observed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    source = model.graph.input[0].name
    ranges: _Ranges = {}
    for images in batches:
        for name, value in zip([source, *names], [images, *session.run(names, {source: images})], strict=True):
            low, high = ranges.get(name, (np.float32(np.inf), np.float32(-np.inf)))
            ranges[name] = min(low, np.float32(value.min())), max(high, np.float32(value.max()))
    return ranges
