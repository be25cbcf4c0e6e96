"""Runtimes: what executes a converted network on a device, each behind one small contract."""

from mnas.devices.runtimes._contract import Array, Runtime, Session
from mnas.devices.runtimes._onnxruntime import OnnxRuntime
from mnas.devices.runtimes._openvino import OpenVinoRuntime
from mnas.devices.runtimes._torch import TorchRuntime

RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime for runtime in (OnnxRuntime(), OpenVinoRuntime(), TorchRuntime())
}

__all__ = ["RUNTIMES", "Array", "OnnxRuntime", "OpenVinoRuntime", "Runtime", "Session", "TorchRuntime"]
