"""Runtimes: what executes a converted network on a device, each behind one small contract."""

from mnas.devices.runtimes._contract import Array, Runtime, Session
from mnas.devices.runtimes._onnxruntime import OnnxRuntime
from mnas.devices.runtimes._openvino import OpenVinoRuntime
from mnas.devices.runtimes._torch import TorchRuntime
from mnas.errors import did_you_mean

RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime for runtime in (OnnxRuntime(), OpenVinoRuntime(), TorchRuntime())
}


def find_runtime(name: str, precision: str = "fp32") -> Runtime:
    """The runtime of that name."""
    if name not in RUNTIMES:
        raise did_you_mean("runtime", name, RUNTIMES)
    return RUNTIMES[name]


__all__ = [
    "RUNTIMES",
    "Array",
    "OnnxRuntime",
    "OpenVinoRuntime",
    "Runtime",
    "Session",
    "TorchRuntime",
    "find_runtime",
]
