"""Making a profile: what `mnas profile` does. It needs of a device nothing but `measure`.

first measurements -> fit -> choose what would teach most -> measure it -> ... -> fit -> compare with unseen networks

A third of the time goes to single layers, the rest to whole networks of the space: layers are quick and tell what
each of them costs, networks tell what layers cost together. A gauge, one network of the space that is measured again
and again in between, tells how the device drifts.
"""

from __future__ import annotations

import datetime
import random
import time
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
    Profile,
    ProfileError,
    choose,
    layer_alone,
    layer_shapes,
    network_parts,
    parts,
    space_shapes,
)
from mnas.space import Architecture, Layer, SearchSpace, count_madds

LAYERS_SHARE = 1 / 3  # of the time for learning
CHECKS = 30  # networks that the fit does not see, ...
CHECKS_SHARE = 0.2  # ... as far as this share of the time allows
FEWEST_CHECKS = 5
MOST = 1000  # measurements: more teach nothing that is worth the time of the fit
_GAUGE_SECONDS = 15.0
_ROUNDS = (0.15, 0.4, 0.7, 1.0)  # shares of the time after which what is known is fitted and the next is chosen
_CANDIDATES = (400, 80, 60)  # layers and networks to choose from, networks that stand for the space
_WAITS = (1.0, 5.0, 20.0)  # seconds before each new try on a device that went away

Watch = Callable[[str], None]


def make_profile(
    device: Device,
    space: SearchSpace,
    minutes: float = 5.0,
    most: int = MOST,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    watch: Watch = lambda phase: None,
) -> Profile:
    """Measure a device for so many minutes and fit its profile for a space.

    Args:
        device: whose latencies are to be predicted.
        space: whose networks they are to be predicted of.
        minutes: of measuring, at most; the fit takes some seconds more.
        most: measurements, at most.
        seed: of which networks and layers are tried.
        settings: the device's own [device] table, for measuring the front at the end of a search.
        watch: called with what is being done.

    Raises:
        SettingsError: too little time or too few measurements.
        StopError: hardly anything could be measured.
        DeviceError: the device stayed away after several tries.
    """
    if not minutes > 0:
        raise SettingsError(f"minutes should be above zero, got {minutes}")
    if most < 4 * FEWEST_CHECKS:
        raise SettingsError(f"a profile needs at least {4 * FEWEST_CHECKS} measurements, got {most}")
    return _Profiling(device, space, 60 * minutes, most, random.Random(seed), watch).run(settings or {})


@dataclass
class _Job:
    """A network to measure, and what for."""

    architecture: Architecture
    kind: str  # "layer", "network", "check" or "gauge"


@dataclass
class _Profiling:
    device: Device
    space: SearchSpace
    limit_s: float
    most: int
    generator: random.Random
    watch: Watch
    observations: list[Observation] = field(default_factory=list)
    checked: list[tuple[Architecture, Latency]] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in ("layer", "network", "check", "gauge")})
    refused: list[str] = field(default_factory=list)

    def run(self, settings: Mapping[str, Any]) -> Profile:
        self.began, self.gauged = time.monotonic(), 0.0
        created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self.seen: set[str] = set()
        self.gauge = self._median_network()
        self.watch("measuring the gauge")
        self._measure(_Job(self.gauge, "gauge"))
        model: CostModel | None = None
        for share in _ROUNDS:
            self._round(self._next(model, share), share)
            if len(self.observations) < 4:
                raise self._too_little()
            self.watch("fitting")
            model = CostModel(self.observations)
        if len(self.checked) < FEWEST_CHECKS or model is None:
            raise self._too_little()
        seconds = time.monotonic() - self.began
        return self._profile(model, settings, created, seconds)
