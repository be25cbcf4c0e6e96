"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnas.devices.runtimes._calibration import calibration_of
from mnas.devices.runtimes._contract import INT8_TOLERANCE, Array, Precision, Session, joined

if TYPE_CHECKING:
    from mnas.models import BuiltModel


class OnnxRuntime:
    """ONNX Runtime's CPU provider, all graph optimisations on."""

    name = "onnxruntime"
    package = "onnxruntime"
    converters: tuple[str, ...] = ("onnx", "onnxruntime")
    extra: str | None = None
    converts_apart = False

    def __init__(self, precision: Precision = "fp32") -> None:
        self.precision = precision
        self.tolerance = {"fp32": 1e-4, "int8": INT8_TOLERANCE}[precision]

    def convert(self, network: BuiltModel) -> bytes:
        """An ONNX file's bytes, batch norm folded."""
        return onnx_file(network, self.precision)

    def version(self) -> str:
        """ONNX Runtime's."""
        import onnxruntime

        return str(onnxruntime.__version__)

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """A sequential session; its only thread is the caller's when `threads` is 1."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: its warnings are about graph clean-ups
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return _OnnxSession(session, images)


def onnx_file(network: BuiltModel, precision: Precision) -> bytes:
    """The ONNX file that several runtimes read, batch norm folded.

    Raises:
        ExportError: a layer could not be quantized.
    """
    from mnas.export import onnx_int8_model, onnx_model

    calibration = calibration_of(network, precision)
    model = onnx_model(network) if calibration is None else onnx_int8_model(network, calibration)
    return bytes(model.SerializeToString())


class _OnnxSession:
    # Bound once: building the input dictionary and the output array for each run costs 4 us,
    # an eighth of the smallest networks' time, and is Python's, not the network's.
    def __init__(self, session: Any, images: Array) -> None:
        self._images = images  # the binding borrows its memory
        self._binding = session.io_binding()
        self._binding.bind_cpu_input(session.get_inputs()[0].name, images)
        for output in session.get_outputs():
            self._binding.bind_output(output.name)
        self._session = session

    def feed(self, images: Array) -> None:
        self._images[...] = images

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def output(self) -> Array:
        return joined(self._binding.copy_outputs_to_cpu())
