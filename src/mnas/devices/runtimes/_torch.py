"""torch itself, eager."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from mnas.devices.runtimes._contract import Array, Precision, Session

if TYPE_CHECKING:
    import torch

    from mnas.models import BuiltModel


class TorchRuntime:
    """The eager module in channels-last memory format and inference mode, fp32, batch norm as it is."""

    name = "torch"
    package = "torch"
    converters: tuple[str, ...] = ("torch",)
    extra: str | None = None
    converts_apart = False
    precision: Precision = "fp32"
    tolerance = 1e-4

    def convert(self, network: BuiltModel) -> bytes:
        """The pickled module."""
        return torch_file(network)

    def version(self) -> str:
        """Torch's, with its build."""
        import torch

        return torch.__version__

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """The module with its input, both channels-last."""
        import torch

        torch.set_num_threads(threads)
        module = torch.load(io.BytesIO(model), weights_only=False)
        return _TorchSession(module, torch.from_numpy(images))


def torch_file(network: BuiltModel) -> bytes:
    """The pickled module. Only ever read by a process that this one started."""
    import torch

    buffer = io.BytesIO()
    torch.save(network, buffer)
    return buffer.getvalue()


class _TorchSession:
    def __init__(self, module: torch.nn.Module, images: torch.Tensor) -> None:
        import torch

        self._inference_mode = torch.inference_mode
        self._module = module.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._images = images.to(memory_format=torch.channels_last)
        self._output = images

    def feed(self, images: Array) -> None:
        import torch

        self._images.copy_(torch.from_numpy(images))

    def run(self) -> None:
        with self._inference_mode():
            self._output = self._module(self._images)

    def output(self) -> Array:
        return self._output.numpy()
