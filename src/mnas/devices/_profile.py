"""ProfileDevice: latencies predicted by a device's profile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.devices._contract import DeviceInfo
from mnas.errors import SettingsError
from mnas.objective import Latency
from mnas.profiles import Profile, read_profile
from mnas.space import Architecture, SearchSpace


class ProfileDevice:
    """A device as its profile predicts it; nothing is measured.

        device = ProfileDevice("cpu.profile")
        device.measure(architecture)            # Latency(statistic="profile", ...)
        device.predict(architectures)           # milliseconds, (networks,)

    A latency's interval is where 95 % of the measurements lie of networks that the profile had not seen. A search
    measures its front in the end with `measure_on`: true is the device that the profile was made on, a table like
    [device] another one, false none.

    Raises:
        SettingsError: there is no such file, or it does not cover the space.
        StopError: it is damaged, or of a later format.
    """

    def __init__(
        self, file: str, measure_on: bool | Mapping[str, Any] = True, space: SearchSpace | None = None
    ) -> None:
        self.profile: Profile = read_profile(Path(file).expanduser())
        if isinstance(measure_on, Mapping) and "name" not in measure_on:
            raise SettingsError('measure_on should be a table like [device], such as { name = "cpu" }, true or false')
        if space is not None:
            self.profile.check_space(space)
        self.measure_on: Mapping[str, Any] | None = None
        if isinstance(measure_on, Mapping):
            self.measure_on = dict(measure_on)
        elif measure_on and self.profile.device_settings:
            self.measure_on = dict(self.profile.device_settings)

    def info(self) -> DeviceInfo:
        """Named by the profile's device, fingerprinted by the profile and that device."""
        details: dict[str, Any] = {
            "kind": "a profile, nothing is measured",
            "profile_of": self.profile.device,
            "profile": self.profile.version,
            "error": str(self.profile.error),
        }
        if self.profile.transferred_from:
            details["transferred_from"] = dict(self.profile.transferred_from)
        fingerprint = f"profile {self.profile.version} of {self.profile.device}"
        return DeviceInfo("profile", fingerprint, details)

    def measure(self, architecture: Architecture) -> Latency:
        """The predicted latency.

        Raises:
            MeasurementError: the network has layers that the profile does not cover.
        """
        ms = float(self.predict((architecture,))[0])
        factor = math.exp(self.profile.error.half_width)
        environment = {"profile_error": str(self.profile.error)}
        return Latency(ms, ms / factor, ms * factor, "profile", self.info().fingerprint, environment=environment)

    def predict(self, architectures: Iterable[Architecture]) -> NDArray[np.float64]:
        """Milliseconds of many networks at once, (networks,).

        Raises:
            MeasurementError: a network has layers that the profile does not cover.
        """
        return self.profile.predict(architectures)
