"""Architecture -> latency, on the device that counts."""

from mnas.devices._contract import Device, DeviceInfo
from mnas.devices._simulated import SimulatedDevice

__all__ = ["Device", "DeviceInfo", "SimulatedDevice"]
