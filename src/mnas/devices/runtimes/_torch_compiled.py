"""torch, compiled ahead of time."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from mnas.devices.runtimes._contract import Array, Precision, Session

if TYPE_CHECKING:
    from mnas.models import BuiltModel


class TorchCompiledRuntime:
    """What torch.compile's inductor makes of the network, compiled once and ahead of time (AOTInductor).

    `torch.compile` itself would compile in every timing process anew, for up to a minute each. Needs a C++ compiler
    where it converts.
    """

    name = "torch-compiled"
    package = "torch"
    converters: tuple[str, ...] = ("torch",)
    extra: str | None = None
    converts_apart = True
    precision: Precision = "fp32"
    tolerance = 1e-4

    def convert(self, network: BuiltModel) -> bytes:
        """A .pt2 package's bytes: the weights and compiled code for this machine's processor."""
        import tempfile
        from pathlib import Path

        from mnas.export._pt2e import exported, named_failures

        with named_failures(self.name), tempfile.TemporaryDirectory() as folder:
            import torch
            import torch._inductor

            program = exported(network)
            path = str(Path(folder, "network.pt2"))
            torch._inductor.aoti_compile_and_package(program, package_path=path)
            return Path(path).read_bytes()

    def version(self) -> str:
        """Torch's, with its build."""
        import torch

        return torch.__version__

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """The compiled code with its input."""
        import torch
        import torch._inductor

        torch.set_num_threads(threads)
        function = torch._inductor.aoti_load_package(io.BytesIO(model))
        return _CompiledSession(function, torch.from_numpy(images))


class _CompiledSession:
    def __init__(self, function: Any, images: Any) -> None:
        self._function, self._images, self._output = function, images, images

    def feed(self, images: Array) -> None:
        import torch

        self._images.copy_(torch.from_numpy(images))

    def run(self) -> None:
        self._output = self._function(self._images)

    def output(self) -> Array:
        output: Array = self._output.numpy()
        return output
