"""The contract of everything that runs a converted network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mnas.models import Network

Array = npt.NDArray[np.float32]


class Session(Protocol):
    """One network, loaded, with its input in place: what is timed is `run` and nothing else."""

    def run(self) -> None:
        """One forward pass of the input."""
        ...

    def output(self) -> Array:
        """What the last run gave."""
        ...


class Runtime(Protocol):
    """Converts networks where torch is, and runs them where the clock is.

        runtime = OnnxRuntime()
        model = runtime.convert(network)              # bytes, made in the process that searches
        session = runtime.load(model, images, threads=1)      # in the process that times
        session.run()
        session.output()                              # (1, classes)

    Only `convert` may import torch, and only when called; `version` and `load` import the runtime's own
    library: the timing process starts in a tenth of a second, and may be on a machine without torch.
    """

    name: str
    package: str  # the library to import
    precision: str  # of the arithmetic: "fp32"
    tolerance: float  # largest difference from torch's outputs, relative to the largest of them

    def convert(self, network: Network) -> bytes:
        """The network, in evaluation mode, as what `load` reads."""
        ...

    def version(self) -> str:
        """The library's version.

        Raises:
            ImportError: the library is not installed.
        """
        ...

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """A session on `images` (1, channels, height, width) with that many threads."""
        ...
