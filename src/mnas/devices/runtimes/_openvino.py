"""OpenVINO on the CPU."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from mnas.devices.runtimes._contract import Array, Session
from mnas.errors import MeasurementError

if TYPE_CHECKING:
    from mnas.models import Network

_HALF = ("bf16", "f16")


class OpenVinoRuntime:
    """OpenVINO's CPU plugin in fp32, from the ONNX file that the other runtimes get.

    Left to itself it computes in bf16 on processors that can: in half the time, and off by thousands of times the
    rounding of fp32. So it is asked for f32, and a network of which a layer still runs in half precision is refused.
    """

    name = "openvino"
    package = "openvino"
    precision = "fp32"
    tolerance = 1e-4

    def convert(self, network: Network) -> bytes:
        """An ONNX file's bytes, batch norm folded."""
        from mnas.export import onnx_model

        return bytes(onnx_model(network).SerializeToString())

    def version(self) -> str:
        """OpenVINO's."""
        import openvino

        return str(openvino.__version__)

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """A compiled network of one stream.

        Raises:
            MeasurementError: a layer runs in another precision than fp32.
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
        _check_precision(compiled)
        return _OpenVinoSession(compiled, images)


def _check_precision(compiled: Any) -> None:
    """Refuse layers in half precision, by what the plugin says that it runs."""
    layers = compiled.get_runtime_model().get_ops()
    half = [layer for layer in layers if str(_info(layer, "runtimePrecision")).lower() in _HALF]
    if half:
        raise MeasurementError(
            f"fp32 was asked for, but {len(half)} of {len(layers)} layers run in "
            f"{_info(half[0], 'runtimePrecision')}, such as {_info(half[0], 'layerType')}: their latency would be "
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

    def run(self) -> None:
        self._request.infer()

    def output(self) -> Array:
        return np.array(self._request.get_output_tensor(0).data)
