"""Session: what is measured on a device for a profile, and what came of it."""

from __future__ import annotations

import datetime
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from mnas.devices import Device
from mnas.errors import DeviceError, MeasurementError, SettingsError, StopError
from mnas.objective import Latency
from mnas.profiles import (
    NETWORK,
    Check,
    CostModel,
    Observation,
    Part,
    Profile,
    ProfileError,
    network_parts,
    parts,
    space_shapes,
)
from mnas.space import Architecture, SearchSpace

FEWEST_CHECKS = 5
FEWEST = 5  # measurements to fit to
_MOST_REFUSED = 0.5  # of the measurements
_WAITS = (1.0, 5.0, 20.0)  # seconds before each new try on a device that went away

Watch = Callable[[str], None]


@dataclass
class Session:
    """A device that is measured for a profile of a space; begins when it is made."""

    device: Device
    space: SearchSpace
    generator: random.Random
    watch: Watch
    observations: list[Observation] = field(default_factory=list)
    checked: list[tuple[Architecture, Latency]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # why a network or layer could not be measured
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by what it was for
    seen: set[str] = field(default_factory=set)  # ids of what was measured, and of what is to check with

    def __post_init__(self) -> None:
        self.created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def count(self) -> int:
        """Measurements so far."""
        return sum(map(len, self.seconds.values()))

    def usual_seconds(self, kind: str) -> float:
        """What one measurement of this kind takes."""
        return fmean(self.seconds[kind] or [1.0])

    def fresh_networks(self, count: int) -> list[Architecture]:
        """Random networks that are neither measured yet nor to check with; fewer where the space has no more."""
        found: dict[str, Architecture] = {}
        for _ in range(20 * count):
            network = self.space.decode(self.space.sample(self.generator))
            if network.id not in self.seen:
                found[network.id] = network
            if len(found) == count:
                break
        return list(found.values())

    def measure(self, kind: str, architecture: Architecture) -> None:
        """Measure, and keep what came of it.

        Raises:
            DeviceError: the device stayed away after several tries.
            StopError: most of what was tried could not be measured.
        """
        begun = self.elapsed_s
        self.seen.add(architecture.id)
        try:
            latency = self._patiently(architecture)
        except MeasurementError as error:
            self.refused.append(f"{architecture}: {error}")
        else:
            if kind == "check":
                self.checked.append((architecture, latency))
            else:
                alone = kind == "layer"
                moment = (begun + self.elapsed_s) / 2
                made_of = network_parts(architecture, alone)
                self.observations.append(Observation(made_of, latency.latency_ms, alone, moment))
        self.seconds[kind].append(self.elapsed_s - begun)
        if len(self.refused) > max(5, _MOST_REFUSED * self.count):
            raise StopError(f"{len(self.refused)} of {self.count} measurements failed, the last: {self.refused[-1]}")

    def too_little(self) -> SettingsError:
        """The error for what does not suffice."""
        return SettingsError(
            f"{self.count} measurements in {self.elapsed_s:.0f} s, {len(self.checked)} of them of "
            f"networks to check with, are too few for a profile: give it more --minutes"
            + (f". {len(self.refused)} failed, the last: {self.refused[-1]}" if self.refused else "")
        )

    def profile(
        self,
        model: CostModel,
        settings: Mapping[str, Any],
        gauge: Architecture,
        transferred_from: Mapping[str, Any] | None = None,
    ) -> Profile:
        """What the model says of the space's layers, and how right it is on the networks to check with."""
        costs = _part_costs(model, self.space)
        predicted = model.predict([network_parts(architecture) for architecture, _ in self.checked]).tolist()
        checks = tuple(
            Check(str(architecture), guess, latency.latency_ms, latency.low_ms, latency.high_ms)
            for guess, (architecture, latency) in zip(predicted, self.checked, strict=True)
        )
        info = self.device.info()
        return Profile(
            layers_ms={
                str(shape): max(0.0, sum(costs[part] for part in parts(shape))) for shape in space_shapes(self.space)
            },
            network_ms=costs[NETWORK],
            frame={"activation": gauge.activation, "padding": gauge.padding},
            space=json.loads(json.dumps(self.space.describe())),
            device=info.fingerprint,
            device_details=json.loads(json.dumps(dict(info.details))),
            device_settings=dict(settings),
            error=ProfileError.of(checks),
            checks=checks,
            measured=self._history(gauge),
            parts_ms={str(part): ms for part, ms in costs.items()},
            transferred_from=dict(transferred_from or {}),
        )

    def _history(self, gauge: Architecture) -> dict[str, Any]:
        return {
            "created": self.created,
            "seconds": round(self.elapsed_s, 1),
            "measuring_seconds": {kind: round(sum(seconds), 1) for kind, seconds in self.seconds.items()},
            "measurements": {kind: len(seconds) for kind, seconds in self.seconds.items()},
            "refused": self.refused[:20],
            "gauge": str(gauge),
        }

    def _patiently(self, architecture: Architecture) -> Latency:
        for wait in _WAITS:
            try:
                return self.device.measure(architecture)
            except DeviceError:
                time.sleep(wait)
        return self.device.measure(architecture)


def _part_costs(model: CostModel, space: SearchSpace) -> dict[Part, float]:
    """Milliseconds of every part that networks of the space can have."""
    found = list(dict.fromkeys([NETWORK, *(part for shape in space_shapes(space) for part in parts(shape))]))
    return dict(zip(found, model.costs(found).tolist(), strict=True))
