"""Runtimes: what executes a converted network on a device, each behind one small contract."""

import importlib.util

from mnas.devices.runtimes._calibration import varied_images
from mnas.devices.runtimes._contract import Array, Precision, Runtime, Session, joined
from mnas.devices.runtimes._cuda import OnnxRuntimeCudaRuntime, TorchCudaRuntime
from mnas.devices.runtimes._executorch import ExecuTorchRuntime
from mnas.devices.runtimes._litert import LiteRtRuntime
from mnas.devices.runtimes._onnxruntime import OnnxRuntime
from mnas.devices.runtimes._openvino import OpenVinoRuntime
from mnas.devices.runtimes._torch import TorchRuntime
from mnas.devices.runtimes._torch_compiled import TorchCompiledRuntime
from mnas.errors import SettingsError, did_you_mean, needs_extra

_ALL: tuple[Runtime, ...] = (
    OnnxRuntime("fp32"),
    OnnxRuntime("int8"),
    OpenVinoRuntime("fp32"),
    OpenVinoRuntime("int8"),
    LiteRtRuntime("fp32"),
    LiteRtRuntime("int8"),
    ExecuTorchRuntime("fp32"),
    ExecuTorchRuntime("int8"),
    TorchRuntime(),
    TorchCompiledRuntime(),
    OnnxRuntimeCudaRuntime(),
    TorchCudaRuntime(),
)
RUNTIMES: dict[str, Runtime] = {runtime.name: runtime for runtime in _ALL if runtime.precision == "fp32"}


def find_runtime(name: str, precision: str = "fp32") -> Runtime:
    """The runtime of that name in that precision.

    Raises:
        SettingsError: unknown name or precision, or the runtime has not got it.
    """
    if name not in RUNTIMES:
        raise did_you_mean("runtime", name, RUNTIMES)
    precisions = sorted({runtime.precision for runtime in _ALL})
    if precision not in precisions:
        raise did_you_mean("precision", precision, precisions)
    having = {runtime.name: runtime for runtime in _ALL if runtime.precision == precision}
    if name not in having:
        raise SettingsError(f"runtime {name!r} has no {precision}; these have: {', '.join(having)}")
    return having[name]


def check_installed(runtime: Runtime, *, runs_here: bool = True) -> None:
    """Refuse a runtime whose libraries are missing; where it runs on another machine, those that convert do.

    Raises:
        SettingsError: naming the library, and the extra that brings it.
    """
    for package in (*((runtime.package,) if runs_here else ()), *runtime.converters):
        if importlib.util.find_spec(package) is None:
            if runtime.extra is not None:
                raise needs_extra(package, runtime.extra)
            raise SettingsError(f"runtime {runtime.name!r} needs {package}: pip install {package}")


__all__ = [
    "RUNTIMES",
    "Array",
    "ExecuTorchRuntime",
    "LiteRtRuntime",
    "OnnxRuntime",
    "OnnxRuntimeCudaRuntime",
    "OpenVinoRuntime",
    "Precision",
    "Runtime",
    "Session",
    "TorchCompiledRuntime",
    "TorchCudaRuntime",
    "TorchRuntime",
    "check_installed",
    "find_runtime",
    "joined",
    "varied_images",
]
