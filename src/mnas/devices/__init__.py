"""Architecture -> latency, on the device that counts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.devices._contract import Device, DeviceInfo
from mnas.devices._simulated import SimulatedDevice

if TYPE_CHECKING:
    from mnas.devices._adb import PhoneInfo, phones
    from mnas.devices._android import AndroidDevice
    from mnas.devices._local import LocalDevice
    from mnas.devices._surrogate import SurrogateDevice

__all__ = [
    "AndroidDevice",
    "Device",
    "DeviceInfo",
    "LocalDevice",
    "PhoneInfo",
    "SimulatedDevice",
    "SurrogateDevice",
    "phones",
]


def __getattr__(name: str) -> Any:
    if name == "LocalDevice":  # needs torch
        return importlib.import_module("mnas.devices._local").LocalDevice
    if name == "SurrogateDevice":  # needs numpy
        return importlib.import_module("mnas.devices._surrogate").SurrogateDevice
    if name == "AndroidDevice":  # needs torch, and for a phone adbutils
        return importlib.import_module("mnas.devices._android").AndroidDevice
    if name in ("PhoneInfo", "phones"):
        return getattr(importlib.import_module("mnas.devices._adb"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
