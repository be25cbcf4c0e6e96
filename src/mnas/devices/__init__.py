"""Architecture -> latency, on the device that counts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.devices._contract import Device, DeviceInfo, MeasuresFiles, ModelFile, measure_together
from mnas.devices._energy import EnergyPlan, Meter, NvmlMeter, RaplMeter, measure_energy, open_meter
from mnas.devices._gate import REFERENCE
from mnas.devices._operations import TriesOut, check_operations
from mnas.devices._pool import Pool
from mnas.devices._simulated import SimulatedDevice
from mnas.devices._worst import WorstOf

if TYPE_CHECKING:
    from mnas.devices._adb import PhoneInfo, phones
    from mnas.devices._android import AndroidDevice
    from mnas.devices._local import LocalDevice
    from mnas.devices._profile import ProfileDevice
    from mnas.devices._reachable import Reachable, reachable
    from mnas.devices._ssh import SshDevice
    from mnas.devices._surrogate import SurrogateDevice

__all__ = [
    "REFERENCE",
    "AndroidDevice",
    "Device",
    "DeviceInfo",
    "EnergyPlan",
    "LocalDevice",
    "MeasuresFiles",
    "Meter",
    "ModelFile",
    "NvmlMeter",
    "PhoneInfo",
    "Pool",
    "ProfileDevice",
    "RaplMeter",
    "Reachable",
    "SimulatedDevice",
    "SshDevice",
    "SurrogateDevice",
    "TriesOut",
    "WorstOf",
    "check_operations",
    "measure_energy",
    "measure_together",
    "open_meter",
    "phones",
    "reachable",
]


# What needs torch or numpy is imported when it is asked for.
_LATE = {
    "AndroidDevice": "mnas.devices._android",
    "LocalDevice": "mnas.devices._local",
    "PhoneInfo": "mnas.devices._adb",
    "ProfileDevice": "mnas.devices._profile",
    "Reachable": "mnas.devices._reachable",
    "SshDevice": "mnas.devices._ssh",
    "SurrogateDevice": "mnas.devices._surrogate",
    "phones": "mnas.devices._adb",
    "reachable": "mnas.devices._reachable",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
