"""A profile from nothing.

first measurements -> fit -> choose what would teach most -> measure it -> ... -> fit -> compare with unseen networks

A third of the time goes to single layers, the rest to whole networks of the space: layers are quick and tell what
each of them costs, networks tell what layers cost together. A gauge, one network of the space that is measured again
and again in between, tells how the device drifts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mnas.devices import Device
from mnas.errors import SettingsError
from mnas.profiles import CostModel, LayerShape, Profile, choose, layer_alone, layer_shapes, network_parts
from mnas.profiling._session import FEWEST, FEWEST_CHECKS, Session, Watch
from mnas.space import Architecture, Layer, SearchSpace, count_madds

LAYERS_SHARE = 1 / 3  # of the time for learning
CHECKS = 30  # networks that the fit does not see, ...
CHECKS_SHARE = 0.2  # ... as far as this share of the time allows
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
    session = Session(device, space, random.Random(seed), watch)
    return _Making(session, 60 * minutes, most).run(settings or {})


@dataclass
class _Making:
    """A profile in the making."""

    session: Session
    limit_s: float
    most: int

    def run(self, settings: Mapping[str, Any]) -> Profile:
        session = self.session
        self.gauge = self._gauge()
        session.seen.add(self.gauge.id)
        # Of a tiny space most networks are to be learnt from.
        self.checks = session.fresh_networks(min(CHECKS, max(FEWEST_CHECKS, session.space.size() // 8)))
        session.seen.update(network.id for network in self.checks)
        self._measure("gauge", self.gauge)
        model: CostModel | None = None
        start = self._used()  # a device's first measurement may take long
        for share in _ROUNDS:
            until = start + share * (1 - start)
            self._round(self._next(model, until), until)
            if len(session.observations) < FEWEST:
                raise session.too_little()
            session.watch("fitting what is known, choosing what is next")
            model = CostModel(session.observations)
        if len(session.checked) < FEWEST_CHECKS or model is None:
            raise session.too_little()
        return session.profile(model, settings, self.gauge)

    def _round(self, queues: Mapping[str, list[Architecture]], share: float) -> None:
        """Measure from the queues, each for its share of the time, until this share of all time is used."""
        gauged = time.monotonic()
        while self._used() < share and (left := {kind: queue for kind, queue in queues.items() if queue}):
            if time.monotonic() - gauged > _GAUGE_SECONDS:
                self._measure("gauge", self.gauge)
                gauged = time.monotonic()
            kind = min(left, key=lambda kind: self._spent(kind) / _SHARES[kind])
            self._measure(kind, left[kind].pop(0))

    def _next(self, model: CostModel | None, share: float) -> dict[str, list[Architecture]]:
        """What to measure until this share of the time is used, the most telling first."""
        session, space = self.session, self.session.space
        layers = [layer_alone(shape, self.gauge) for shape in self._fresh_layers(_CANDIDATES["layer"])]
        networks = session.fresh_networks(_CANDIDATES["network"])
        if model is not None:
            left_s = max(0.0, share * self.limit_s - session.elapsed_s) * 1.5  # rather some too many
            chosen = choose(
                model,
                [network_parts(layer, alone=True) for layer in layers],
                [network_parts(network) for network in networks],
                [network_parts(space.decode(space.sample(session.generator))) for _ in range(_TARGETS)],
                (session.usual_seconds("layer"), session.usual_seconds("network")),
                (left_s * _SHARES["layer"], left_s * _SHARES["network"]),
            )
            layers, networks = [layers[index] for index in chosen[0]], [networks[index] for index in chosen[1]]
        return {"layer": layers, "network": networks, "check": self.checks}

    def _measure(self, kind: str, architecture: Architecture) -> None:
        self.session.watch(f"{100 * min(1.0, self._used()):.0f} %: measurement {self.session.count + 1}, {kind}")
        self.session.measure(kind, architecture)

    def _gauge(self) -> Architecture:
        """The network of median MAdds among some."""
        space = self.session.space
        some = [space.decode(space.sample(self.session.generator)) for _ in range(15)]
        return sorted(some, key=count_madds)[len(some) // 2]

    def _fresh_layers(self, count: int) -> list[LayerShape]:
        """Layers as often as random networks have them, each once, without those that were measured alone."""
        session, found = self.session, dict[LayerShape, None]()
        for _ in range(count):
            for shape in layer_shapes(session.space.decode(session.space.sample(session.generator))):
                if isinstance(shape.row, Layer) and layer_alone(shape, self.gauge).id not in session.seen:
                    found[shape] = None
        return session.generator.sample(list(found), min(count, len(found)))

    def _used(self) -> float:
        """The share of time, or of measurements, that is used."""
        return max(self.session.elapsed_s / self.limit_s, self.session.count / self.most)

    def _spent(self, kind: str) -> float:
        """Seconds for this; a measurement that takes no time counts as a hundredth of one."""
        seconds = self.session.seconds[kind]
        return sum(seconds) + 0.01 * len(seconds)
