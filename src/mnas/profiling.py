"""Making a profile: what `mnas profile` does. It needs of a device nothing but `measure`.

first measurements -> fit -> choose what would teach most -> measure it -> ... -> fit -> compare with unseen networks

A third of the time goes to single layers, the rest to whole networks of the space: layers are quick and tell what
each of them costs, networks tell what layers cost together. A gauge, one network of the space that is measured again
and again in between, tells how the device drifts.
"""

from __future__ import annotations

import datetime
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import fmean
from typing import Any

from mnas.devices import Device
from mnas.errors import DeviceError, MeasurementError, SettingsError, StopError
from mnas.objective import Latency
from mnas.profiles import (
    NETWORK,
    Check,
    CostModel,
    LayerShape,
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
_FEWEST = 5  # measurements to fit to
MOST = 1000  # measurements: more teach nothing that is worth the time of the fit
_SHARES = {
    "layer": (1 - CHECKS_SHARE) * LAYERS_SHARE,
    "network": (1 - CHECKS_SHARE) * (1 - LAYERS_SHARE),
    "check": CHECKS_SHARE,
}
_GAUGE_SECONDS = 15.0
_ROUNDS = (0.15, 0.4, 0.7, 1.0)  # shares of the time after which what is known is fitted and the next is chosen
_CANDIDATES = {"layer": 400, "network": 80}  # to choose from
_TARGETS = 60  # networks that stand for the space
_MOST_REFUSED = 0.5  # of the measurements
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
class _Profiling:
    """A profile in the making."""

    device: Device
    space: SearchSpace
    limit_s: float
    most: int
    generator: random.Random
    watch: Watch
    observations: list[Observation] = field(default_factory=list)
    checked: list[tuple[Architecture, Latency]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # why a network or layer could not be measured
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by what it was for
    seen: set[str] = field(default_factory=set)  # ids of what was measured, and of what is to check with

    def run(self, settings: Mapping[str, Any]) -> Profile:
        created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self.began, self.gauge = time.monotonic(), self._gauge()
        self.seen.add(self.gauge.id)
        # Of a tiny space most networks are to be learnt from.
        self.checks = self._fresh_networks(min(CHECKS, max(FEWEST_CHECKS, self.space.size() // 8)))
        self.seen.update(network.id for network in self.checks)
        self._measure("gauge", self.gauge)
        model: CostModel | None = None
        start = self._used()  # a device's first measurement may take long
        for share in _ROUNDS:
            until = start + share * (1 - start)
            self._round(self._next(model, until), until)
            if len(self.observations) < _FEWEST:
                raise self._too_little()
            self.watch("fitting what is known, choosing what is next")
            model = CostModel(self.observations)
        if len(self.checked) < FEWEST_CHECKS or model is None:
            raise self._too_little()
        history = {
            "created": created,
            "seconds": round(time.monotonic() - self.began, 1),
            "measuring_seconds": {kind: round(sum(seconds), 1) for kind, seconds in self.seconds.items()},
            "measurements": {kind: len(seconds) for kind, seconds in self.seconds.items()},
            "refused": self.refused[:20],
            "gauge": str(self.gauge),
        }
        return self._profile(model, settings, history)

    def _round(self, queues: Mapping[str, list[Architecture]], share: float) -> None:
        """Measure from the queues, each for its share of the time, until this share of all time is used."""
        gauged = time.monotonic()
        while self._used() < share and (left := {kind: queue for kind, queue in queues.items() if queue}):
            if time.monotonic() - gauged > _GAUGE_SECONDS:
                self._measure("gauge", self.gauge)
                gauged = time.monotonic()
            kind = min(left, key=lambda kind: self._spent(kind) / _SHARES[kind])
            self._measure(kind, left[kind].pop(0))
            if len(self.refused) > max(5, _MOST_REFUSED * self._count()):
                raise StopError(
                    f"{len(self.refused)} of {self._count()} measurements failed, the last: {self.refused[-1]}"
                )

    def _next(self, model: CostModel | None, share: float) -> dict[str, list[Architecture]]:
        """What to measure until this share of the time is used, the most telling first."""
        layers = [layer_alone(shape, self.gauge) for shape in self._fresh_layers(_CANDIDATES["layer"])]
        networks = self._fresh_networks(_CANDIDATES["network"])
        if model is not None:
            left_s = max(0.0, share * self.limit_s - (time.monotonic() - self.began)) * 1.5  # rather some too many
            chosen = choose(
                model,
                [network_parts(layer, alone=True) for layer in layers],
                [network_parts(network) for network in networks],
                [network_parts(self.space.decode(self.space.sample(self.generator))) for _ in range(_TARGETS)],
                (self._usual_seconds("layer"), self._usual_seconds("network")),
                (left_s * _SHARES["layer"], left_s * _SHARES["network"]),
            )
            layers, networks = [layers[index] for index in chosen[0]], [networks[index] for index in chosen[1]]
        return {"layer": layers, "network": networks, "check": self.checks}

    def _measure(self, kind: str, architecture: Architecture) -> None:
        """Measure, and keep what came of it."""
        self.watch(f"{100 * min(1.0, self._used()):.0f} %: measurement {self._count() + 1}, {kind}")
        begun = time.monotonic()
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
                moment = (begun + time.monotonic()) / 2 - self.began
                made_of = network_parts(architecture, alone)
                self.observations.append(Observation(made_of, latency.latency_ms, alone, moment))
        self.seconds[kind].append(time.monotonic() - begun)

    def _patiently(self, architecture: Architecture) -> Latency:
        for wait in _WAITS:
            try:
                return self.device.measure(architecture)
            except DeviceError:
                time.sleep(wait)
        return self.device.measure(architecture)

    def _gauge(self) -> Architecture:
        """The network of median MAdds among some."""
        some = [self.space.decode(self.space.sample(self.generator)) for _ in range(15)]
        return sorted(some, key=count_madds)[len(some) // 2]

    def _fresh_networks(self, count: int) -> list[Architecture]:
        """Random networks that are neither measured yet nor to check with; fewer where the space has no more."""
        found: dict[str, Architecture] = {}
        for _ in range(20 * count):
            network = self.space.decode(self.space.sample(self.generator))
            if network.id not in self.seen:
                found[network.id] = network
            if len(found) == count:
                break
        return list(found.values())

    def _fresh_layers(self, count: int) -> list[LayerShape]:
        """Layers as often as random networks have them, each once, without those that were measured alone."""
        found: dict[LayerShape, None] = {}
        for _ in range(count):
            for shape in layer_shapes(self.space.decode(self.space.sample(self.generator))):
                if isinstance(shape.row, Layer) and layer_alone(shape, self.gauge).id not in self.seen:
                    found[shape] = None
        return self.generator.sample(list(found), min(count, len(found)))

    def _used(self) -> float:
        """The share of time, or of measurements, that is used."""
        return max((time.monotonic() - self.began) / self.limit_s, self._count() / self.most)

    def _spent(self, kind: str) -> float:
        """Seconds for this; a measurement that takes no time counts as a hundredth of one."""
        return sum(self.seconds[kind]) + 0.01 * len(self.seconds[kind])

    def _count(self) -> int:
        return sum(map(len, self.seconds.values()))

    def _usual_seconds(self, kind: str) -> float:
        return fmean(self.seconds[kind] or [1.0])

    def _too_little(self) -> SettingsError:
        return SettingsError(
            f"{self._count()} measurements in {time.monotonic() - self.began:.0f} s, {len(self.checked)} of them of "
            f"networks to check with, are too few for a profile: give it more --minutes"
            + (f". {len(self.refused)} failed, the last: {self.refused[-1]}" if self.refused else "")
        )

    def _profile(self, model: CostModel, settings: Mapping[str, Any], history: Mapping[str, Any]) -> Profile:
        shapes = space_shapes(self.space)
        made_of = [parts(shape) for shape in shapes]
        ms = model.costs([part for group in made_of for part in group]).tolist()
        ends = list(accumulate(map(len, made_of)))
        layers_ms = {
            str(shape): max(0.0, sum(ms[end - len(group) : end]))
            for shape, group, end in zip(shapes, made_of, ends, strict=True)
        }
        network_ms = float(model.costs([NETWORK])[0])
        predicted = model.predict([network_parts(architecture) for architecture, _ in self.checked]).tolist()
        checks = tuple(
            Check(str(architecture), guess, latency.latency_ms, latency.low_ms, latency.high_ms)
            for guess, (architecture, latency) in zip(predicted, self.checked, strict=True)
        )
        info = self.device.info()
        return Profile(
            layers_ms=layers_ms,
            network_ms=network_ms,
            frame={"activation": self.gauge.activation, "padding": self.gauge.padding},
            space=json.loads(json.dumps(self.space.describe())),
            device=info.fingerprint,
            device_details=json.loads(json.dumps(dict(info.details))),
            device_settings=dict(settings),
            error=ProfileError.of(checks),
            checks=checks,
            measured=dict(history),
        )
