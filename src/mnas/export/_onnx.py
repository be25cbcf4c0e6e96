"""ONNX files written straight from the architecture and the weights.

torch's exporter traces the module and takes two to three seconds per network; a search measures hundreds of
networks whose graphs are known, so the nodes are written down directly, in tens of milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mnas._whole_file import write_whole
from mnas.errors import SettingsError
from mnas.models import BuiltModel, Detector, Network, pads
from mnas.models._conv import BiasedConv2d
from mnas.models._conv_norm import ConvNorm
from mnas.models._detector import Predictor
from mnas.models._layer_module import POOL_KERNEL, LayerModule
from mnas.models._squeeze_excite import Linear, SqueezeExcite
from mnas.space import box_count

OPSET = 17
IR_VERSION = 8  # the oldest that goes with OPSET 17: every current runtime reads it
INPUT, OUTPUT = "images", "logits"
DETECTED = "predictions"  # a detector's output

Array = npt.NDArray[np.float32]


def onnx_model(module: BuiltModel, *, dynamic_batch: bool = False) -> onnx.ModelProto:
    """The network for inference as an ONNX model: batch norm folded into the convolutions, no dropout.

    Input "images" (batch, channels, resolution, resolution), output "logits" (batch, classes), both float32,
    at the architecture's resolution; the batch is 1, or free with `dynamic_batch`. A detector's output is
    "predictions" (batch, default boxes, 4 + 1 + classes), as its module gives them. The metadata's "architecture" is
    `str(architecture)`. The module stays as it is, its training mode included.

    Raises:
        SettingsError: the module is neither a `Network` nor a `Detector`, of which alone the graph is known.
    """
    if not isinstance(module, Network | Detector):
        raise SettingsError(
            "onnx_model writes a Network that build_model made or a Detector of build_detector, "
            f"got {type(module).__name__}"
        )
    return _Writer(module, dynamic_batch).model()


def save_onnx(module: BuiltModel, path: str | os.PathLike[str], *, dynamic_batch: bool = False) -> None:
    """Write `onnx_model(module)` to a file: whole or not at all.

    Raises:
        SettingsError: the file's folder does not exist.
        StorageError: the file could not be written, as where the disk is full.
    """
    write_whole(path, onnx_model(module, dynamic_batch=dynamic_batch).SerializeToString())


class _Writer:
    """Collects nodes and weights from the input to the output, and knows the resolution it is at."""

    def __init__(self, network: BuiltModel, dynamic_batch: bool) -> None:
        self.network = network
        self.architecture = network.architecture
        self.batch: int | str = "batch" if dynamic_batch else 1
        self.resolution = self.architecture.resolution
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.predicted: list[tuple[str, str]] = []  # by a detector, per map: of boxes, of classes

    def model(self) -> onnx.ModelProto:
        """The finished model."""
        a = self.architecture
        output, shape = self._write()
        images = (self.batch, a.input_channels, a.resolution, a.resolution)
        graph = helper.make_graph(
            self.nodes,
            "mnas",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, images)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self.weights,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset], producer_name="mnas")
        helper.set_model_props(model, {"architecture": str(a)})
        return model

    def _write(self) -> tuple[str, tuple[int | str, ...]]:
        """All nodes; the output's name and shape."""
        classes = self.architecture.head.classes
        if isinstance(self.network, Detector):
            self._write_detector(self.network)
            return DETECTED, (self.batch, box_count(self.architecture), 4 + 1 + classes)
        self._write_network(self.network)
        return OUTPUT, (self.batch, classes)

    def _write_network(self, network: Network) -> None:
        x = self._conv_norm("stem", network.stem, INPUT)
        for index, layer in enumerate(network.layers):
            x = self._layer(f"layers.{index}", layer, x)  # type: ignore[arg-type]
        x = self._head(network.head, x)
        x = self._node("GlobalAveragePool", "pool", [x])
        x = self._node("Flatten", "flatten", [x])
        classifier = network.classifier
        names = self._weight_and_bias("classifier", _array(classifier.weight), _array(classifier.bias))
        self._node("Gemm", OUTPUT, [x, *names], transB=1)

    def _write_detector(self, detector: Detector) -> None:
        x = self._conv_norm("stem", detector.stem, INPUT)
        for index, layer in enumerate(detector.layers):
            x = self._layer(f"layers.{index}", layer, x, index == detector.tap)  # type: ignore[arg-type]
        x = self._head(detector.head, x)
        self._predict(x)
        for number, extra in enumerate(detector.extras):
            for step, child in extra.named_children():
                x = self._conv_norm(f"extras.{number}.{step}", child, x)  # type: ignore[arg-type]
            self._predict(x)
        boxes, logits = (list(parts) for parts in zip(*self.predicted, strict=True))
        parts = [self._node("Concat", "encodings", boxes, axis=1), self._node("Concat", "logits", logits, axis=1)]
        self._node("Concat", DETECTED, parts, axis=2)

    def _predict(self, x: str) -> None:
        """What is predicted on a map, (batch, boxes, 4) and (batch, boxes, 1 + classes)."""
        assert isinstance(self.network, Detector)
        number = len(self.predicted)
        predictor = self.network.predictors[number]
        assert isinstance(predictor, Predictor)
        pair = []
        for part, convs in predictor.named_children():
            name = f"predictors.{number}.{part}"
            y = self._conv_norm(f"{name}.depthwise", convs.depthwise, x)  # type: ignore[arg-type]
            project = convs.project
            assert isinstance(project, BiasedConv2d)
            assert project.bias is not None
            names = self._weight_and_bias(f"{name}.project", _array(project.weight), _array(project.bias))
            y = self._node("Conv", f"{name}.project", [y, *names])
            y = self._node("Transpose", f"{name}.last", [y], perm=[0, 2, 3, 1])
            shape = self._weight(f"{name}.shape", np.array([0, -1, convs.values], np.int64))
            pair.append(self._node("Reshape", name, [y, shape]))
        self.predicted.append((pair[0], pair[1]))

    def _layer(self, name: str, module: LayerModule, x: str, is_tapped: bool = False) -> str:
        resolution, out = self.resolution, x
        if is_tapped and module.layer.op != "mbconv":
            self._predict(x)
        for step, child in module.body.named_children():
            if isinstance(child, ConvNorm):
                out = self._conv_norm(f"{name}.{step}", child, out)
            else:
                assert isinstance(child, SqueezeExcite)
                out = self._squeeze_excite(f"{name}.{step}", child, out)
            if is_tapped and step == "expand":
                self._predict(out)
        if module.layer.skip == "none":
            return out
        if module.layer.skip == "pool":
            x = self._pooled(f"{name}.pool", x, resolution, module.layer.stride)
        return self._node("Add", f"{name}.sum", [out, x])

    def _head(self, module: ConvNorm | nn.Identity, x: str) -> str:
        return self._conv_norm("head", module, x) if isinstance(module, ConvNorm) else x

    def _conv_norm(self, name: str, module: ConvNorm, x: str) -> str:
        conv = module.conv
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        inputs = [x, *self._weight_and_bias(name, *_folded(module))]
        x = self._node("Conv", f"{name}.conv", inputs, **self._window(kernel, stride), group=conv.groups)
        self.resolution = -(-self.resolution // stride)
        if module.activation == "relu":
            return self._node("Relu", f"{name}.relu", [x])
        if module.activation == "relu6":
            bounds = [self._weight(f"{name}.{side}", np.float32(value)) for side, value in (("low", 0), ("high", 6))]
            return self._node("Clip", f"{name}.relu6", [x, *bounds])
        return x

    def _squeeze_excite(self, name: str, module: SqueezeExcite, x: str) -> str:
        scale = self._node("GlobalAveragePool", f"{name}.mean", [x])
        scale = self._node("Conv", f"{name}.reduce", [scale, *self._pointwise(f"{name}.reduce", module.reduce)])
        scale = self._node("Relu", f"{name}.relu", [scale])
        scale = self._node("Conv", f"{name}.expand", [scale, *self._pointwise(f"{name}.expand", module.expand)])
        scale = self._node("Sigmoid", f"{name}.sigmoid", [scale])
        return self._node("Mul", f"{name}.scaled", [x, scale])

    def _pooled(self, name: str, x: str, resolution: int, stride: int) -> str:
        after, self.resolution = self.resolution, resolution  # the pooling sees the layer's input
        window = self._window(POOL_KERNEL, stride)
        self.resolution = after
        return self._node("MaxPool", name, [x], **window)

    def _window(self, kernel: int, stride: int) -> dict[str, list[int]]:
        before, after = pads(self.architecture.padding, self.resolution, kernel, stride)
        return {
            "kernel_shape": [kernel, kernel],
            "strides": [stride, stride],
            "pads": [before, before, after, after],
        }

    def _pointwise(self, name: str, module: Linear) -> tuple[str, str]:
        return self._weight_and_bias(name, _array(module.weight)[:, :, None, None], _array(module.bias))

    def _weight_and_bias(self, name: str, weight: Array, bias: Array) -> tuple[str, str]:
        return self._weight(f"{name}.weight", weight), self._weight(f"{name}.bias", bias)

    def _weight(self, name: str, value: Array | np.float32 | npt.NDArray[np.int64]) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name


def _folded(module: ConvNorm) -> tuple[Array, Array]:
    """Weight and bias of the convolution that does what convolution and batch norm do."""
    norm = module.norm
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    # The few per-channel numbers in double precision: a tiny variance must not cost digits.
    gamma, beta, mean, variance = (t.detach().cpu().double() for t in (norm.weight, norm.bias, mean, variance))
    scale = gamma / torch.sqrt(variance + norm.eps)
    weight = _array(module.conv.weight) * _array(scale)[:, None, None, None]
    return weight, _array(beta - mean * scale)


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().to(torch.float32).contiguous().numpy()
