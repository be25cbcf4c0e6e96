"""ExecuTorch on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnas.devices.runtimes._calibration import calibration_of
from mnas.devices.runtimes._contract import INT8_TOLERANCE, Array, Precision, Session, joined

if TYPE_CHECKING:
    from mnas.models import BuiltModel


class ExecuTorchRuntime:
    """ExecuTorch with its XNNPACK kernels. The timing process imports torch: ExecuTorch's Python bindings need it.

    What XNNPACK does not take would run on kernels that are made to be correct, hundreds of times slower, so every
    convolution and fully connected layer has to be among what it takes.
    """

    name = "executorch"
    package = "executorch"
    converters: tuple[str, ...] = ("executorch", "torchao", "torch")
    extra: str | None = "executorch"
    converts_apart = True

    def __init__(self, precision: Precision = "fp32") -> None:
        self.precision = precision
        self.tolerance = {"fp32": 1e-4, "int8": INT8_TOLERANCE}[precision]

    def convert(self, network: BuiltModel) -> bytes:
        """A .pte file's bytes.

        Raises:
            ExportError: XNNPACK does not take a layer, or not in this precision.
        """
        from mnas.export import executorch_model

        return executorch_model(network, calibration_of(network, self.precision))

    def version(self) -> str:
        """ExecuTorch's."""
        from importlib.metadata import version

        import executorch.runtime  # noqa: F401 - what is missing is to be noticed here

        return version("executorch")

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """A method with its input set."""
        import torch
        from executorch.extension.pybindings._C import _unsafe_reset_threadpool
        from executorch.runtime import Runtime

        _unsafe_reset_threadpool(threads)  # before anything runs, which is what is unsafe about it
        program = Runtime.get().load_program(model)
        return _ExecuTorchSession(program, torch.from_numpy(images))


class _ExecuTorchSession:
    def __init__(self, program: Any, images: Any) -> None:
        self._program, self._images = program, images  # the method may borrow their memory
        self._method = program.load_method("forward")._method
        self._method.set_inputs([images])
        self.run = self._method.execute

    def feed(self, images: Array) -> None:
        import torch

        self._images.copy_(torch.from_numpy(images))
        self._method.set_inputs([self._images])  # what it was given before it has copied

    def output(self) -> Array:
        return joined([output.numpy() for output in self._method.get_outputs()])
