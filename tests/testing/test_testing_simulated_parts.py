"""The suites for devices and accuracy estimators run on the simulated ones."""

from __future__ import annotations

from mnas.accuracy import AccuracyEstimator, SimulatedAccuracy
from mnas.devices import Device, SimulatedDevice
from mnas.testing import DeviceConformance, EstimatorConformance


class TestSimulatedDevice(DeviceConformance):
    def make(self) -> Device:
        return SimulatedDevice()


class TestSimulatedAccuracy(EstimatorConformance):
    def make(self) -> AccuracyEstimator:
        return SimulatedAccuracy()
