"""OpenVINO on the CPU."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from mnas.devices.runtimes._contract import INT8_TOLERANCE, Array, Precision, Session
from mnas.devices.runtimes._onnxruntime import onnx_file
from mnas.errors import MeasurementError

if TYPE_CHECKING:
    from mnas.models import BuiltModel

_HALF = ("bf16", "f16")
_BYTES = ("i8", "u8")
_WEIGHTED = ("Convolution", "FullyConnected", "MatMul")


class OpenVinoRuntime:
    """OpenVINO's CPU plugin, from the ONNX file that the other runtimes get.

    Left to itself it computes in bf16 on processors that can: in half the time, and off by thousands of times the
    rounding of fp32. So it is asked for f32, and a network of which a layer still runs in half precision is refused.
    """

    name = "openvino"
    package = "openvino"
    converters: tuple[str, ...] = ("onnx", "onnxruntime")
    extra: str | None = "openvino"
    converts_apart = False

    def __init__(self, precision: Precision = "fp32") -> None:
        self.precision = precision
        self.tolerance = {"fp32": 1e-4, "int8": INT8_TOLERANCE}[precision]

    def convert(self, network: BuiltModel) -> bytes:
        """An ONNX file's bytes, batch norm folded."""
        return onnx_file(network, self.precision)

    def version(self) -> str:
        """OpenVINO's."""
        import openvino

        return str(openvino.__version__)

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """A compiled network of one stream.

        Raises:
            MeasurementError: a layer runs in another precision than was asked for.
        """
        import openvino

        core = openvino.Core()
        compiled = core.compile_model(
            core.read_model(io.BytesIO(model)),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,  # the process is kept on its cores already
            },
        )
        _check_precision(compiled, self.precision)
        return _OpenVinoSession(compiled, images)


def _check_precision(compiled: Any, precision: Precision) -> None:
    """Refuse layers in another precision, by what the plugin says that it runs."""
    layers = compiled.get_runtime_model().get_ops()
    wrong = [layer for layer in layers if str(_info(layer, "runtimePrecision")).lower() in _HALF]
    if precision == "int8":
        weighted = [layer for layer in layers if _info(layer, "layerType") in _WEIGHTED]
        wrong += [layer for layer in weighted if str(_info(layer, "runtimePrecision")).lower() not in _BYTES]
    if wrong:
        raise MeasurementError(
            f"{precision} was asked for, but {len(wrong)} of {len(layers)} layers run in "
            f"{_info(wrong[0], 'runtimePrecision')}, such as {_info(wrong[0], 'layerType')}: their latency would be "
            "that of another network"
        )


def _info(layer: Any, key: str) -> Any:
    info = layer.get_rt_info()
    return info[key].value if key in info else ""


class _OpenVinoSession:
    def __init__(self, compiled: Any, images: Array) -> None:
        import openvino

        self._request = compiled.create_infer_request()
        self._request.set_input_tensor(openvino.Tensor(images, shared_memory=True))
        self._images = images  # the tensor borrows its memory

    def feed(self, images: Array) -> None:
        self._images[...] = images

    def run(self) -> None:
        self._request.infer()

    def output(self) -> Array:
        return np.array(self._request.get_output_tensor(0).data)
