"""LiteRT (once TensorFlow Lite) on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mnas._quantization import Quantization, litert_outputs
from mnas.devices.runtimes._calibration import calibration_of
from mnas.devices.runtimes._contract import INT8_TOLERANCE, Array, Precision, Session, joined
from mnas.errors import MeasurementError

if TYPE_CHECKING:
    from mnas.models import BuiltModel

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class LiteRtRuntime:
    """LiteRT's interpreter with its XNNPACK kernels, from what litert-torch converts.

    In int8 the input and the output are int8 too, as in an app: what is timed does not convert them.
    """

    name = "litert"
    package = "ai_edge_litert"
    converters: tuple[str, ...] = ("litert_torch", "torchao", "torch")
    extra: str | None = "litert"
    converts_apart = True

    def __init__(self, precision: Precision = "fp32") -> None:
        self.precision = precision
        self.tolerance = {"fp32": 1e-4, "int8": INT8_TOLERANCE}[precision]

    def convert(self, network: BuiltModel) -> bytes:
        """A .tflite file's bytes."""
        from mnas.export import litert_model

        return litert_model(network, calibration_of(network, self.precision))

    def version(self) -> str:
        """ai-edge-litert's."""
        from importlib.metadata import version

        import ai_edge_litert.interpreter  # noqa: F401 - what is missing is to be noticed here

        return version("ai-edge-litert")

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """An interpreter with its tensors in place.

        Raises:
            MeasurementError: a layer computes in another precision, or XNNPACK takes no part of the network.
        """
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=model, num_threads=threads)
        _check_precision(interpreter, self.precision)
        interpreter.allocate_tensors()
        if all(op["op_name"] != "DELEGATE" for op in interpreter._get_ops_details()):
            raise MeasurementError("XNNPACK takes no part of the network: LiteRT would run it on its slow kernels")
        return _LiteRtSession(interpreter, images)


def _check_precision(interpreter: Any, precision: Precision) -> None:
    """Refuse a convolution or fully connected layer that computes in another precision, by its tensors' types."""
    types = {tensor["index"]: np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    wanted = {"fp32": "float32", "int8": "int8"}[precision]
    for op in interpreter._get_ops_details():
        found = {types[index] for index in (*op["inputs"][:2], *op["outputs"])}
        if op["op_name"] in _WEIGHTED and found != {wanted}:
            raise MeasurementError(
                f"{precision} was asked for, but a {op['op_name']} computes in {', '.join(sorted(found))}"
            )


class _LiteRtSession:
    def __init__(self, interpreter: Any, images: Array) -> None:
        self._interpreter = interpreter
        (source,) = interpreter.get_input_details()
        self._source, self._takes = source["index"], Quantization.of_litert(source)
        targets = interpreter.get_output_details()
        if len(targets) > 1:
            targets = litert_outputs(interpreter)
        self._targets = [(one["index"], Quantization.of_litert(one)) for one in targets]
        self.feed(images)
        self.run = interpreter.invoke

    def feed(self, images: Array) -> None:
        self._interpreter.set_tensor(self._source, self._takes.encode(images) if self._takes else images)

    def output(self) -> Array:
        found = [(self._interpreter.get_tensor(index), gives) for index, gives in self._targets]
        return joined([gives.decode(values) if gives else values for values, gives in found])
