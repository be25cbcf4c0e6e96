"""Architecture -> latency, on the device that counts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.devices._contract import Device, DeviceInfo
from mnas.devices._simulated import SimulatedDevice

if TYPE_CHECKING:
    from mnas.devices._local import LocalDevice
    from mnas.devices._ssh import SshDevice
    from mnas.devices._surrogate import SurrogateDevice

__all__ = ["Device", "DeviceInfo", "LocalDevice", "SimulatedDevice", "SshDevice", "SurrogateDevice"]


# What needs torch or numpy is imported when it is asked for.
_LATE = {
    "LocalDevice": "mnas.devices._local",
    "SshDevice": "mnas.devices._ssh",
    "SurrogateDevice": "mnas.devices._surrogate",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
