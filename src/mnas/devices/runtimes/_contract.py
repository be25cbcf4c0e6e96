"""The contract of everything that runs a converted network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mnas.models import BuiltModel

Array = npt.NDArray[np.float32]
Precision = Literal["fp32", "int8"]
# Of the outputs, and of how they differ between inputs: the table that they were chosen by is in docs/devices.md.
INT8_TOLERANCE = 0.25
BETWEEN_INPUTS_TOLERANCE = 0.5


class Session(Protocol):
    """One network, loaded, with its input in place: what is timed is `run` and nothing else.

    A run is over when `run` returns: where work is handed to another processor, it waits for it.
    """

    def feed(self, images: Array) -> None:
        """Puts another input, of the same shape, in the place of the one before."""
        ...

    def run(self) -> float | None:
        """One forward pass of the input; its milliseconds by the processor's own clock, where it has one."""
        ...

    def output(self) -> Array:
        """What the last run gave, (1, classes), of several outputs as `joined`; the next run may change it."""
        ...


def joined(outputs: Sequence[npt.NDArray[Any]]) -> Array:
    """A run's only output as it is; several, in float32, one behind the other, (1, values)."""
    if len(outputs) == 1:
        return np.asarray(outputs[0])
    return np.concatenate([np.asarray(output, np.float32).reshape(1, -1) for output in outputs], axis=1)


class Runtime(Protocol):
    """Converts networks where torch is, and runs them where the clock is.

        runtime = OnnxRuntime("int8")
        model = runtime.convert(network)              # bytes, made in the process that searches
        session = runtime.load(model, images, threads=1)      # in the process that times
        session.run()
        session.output()                              # (1, classes)
        session.feed(others)                          # of the next run

    Only `convert` may import torch, and only when called; `version` and `load` import the runtime's own
    library: the timing process starts in a tenth of a second, and may be on a machine without torch.

    int8 means that every convolution and fully connected layer computes in int8. A runtime that finds one that does
    not raises an error, in `convert` or `load`: its latency would be that of another network.
    """

    name: str
    package: str  # the library that runs networks, as it is imported
    converters: tuple[str, ...]  # the libraries that convert them, likewise
    extra: str | None  # that brings them; None: they come with mnas
    precision: Precision  # of the arithmetic
    tolerance: float  # largest difference from torch's fp32 outputs, by the measure of `Candidate.check`
    converts_apart: bool  # in a process of its own, because its libraries print, write and may crash

    def convert(self, network: BuiltModel) -> bytes:
        """The network, in evaluation mode, as what `load` reads.

        Raises:
            ExportError: it has an operation that the runtime lacks, in this precision.
        """
        ...

    def version(self) -> str:
        """The library's version.

        Raises:
            ImportError: the library is not installed.
            SettingsError: the hardware that it is for is not there.
        """
        ...

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """A session on `images` (1, channels, height, width) with that many threads."""
        ...
