"""Architecture -> latency, on the device that counts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.devices._contract import Device, DeviceInfo
from mnas.devices._simulated import SimulatedDevice

if TYPE_CHECKING:
    from mnas.devices._local import LocalDevice
    from mnas.devices._profile import ProfileDevice
    from mnas.devices._surrogate import SurrogateDevice

__all__ = ["Device", "DeviceInfo", "LocalDevice", "ProfileDevice", "SimulatedDevice", "SurrogateDevice"]


def __getattr__(name: str) -> Any:
    if name == "LocalDevice":  # needs torch
        return importlib.import_module("mnas.devices._local").LocalDevice
    if name == "SurrogateDevice":  # needs numpy
        return importlib.import_module("mnas.devices._surrogate").SurrogateDevice
    if name == "ProfileDevice":  # needs numpy and scipy
        return importlib.import_module("mnas.devices._profile").ProfileDevice
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
