"""WorstOf: several different devices at once, for an app that must be quick on all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from mnas.devices._contract import Device, DeviceInfo, measure_together
from mnas.errors import SettingsError
from mnas.objective import Latency
from mnas.space import Architecture


class WorstOf:
    """The worst latency on several devices, each relative to what it may take.

        device = WorstOf([phone, watch], scales=[1, 2.5])   # the watch may take 2.5 times as long
        latency = device.measure(architecture)
        latency.latency_ms                                  # the larger of the phone's and the watch's / 2.5
        latency.parts["watch"].latency_ms                   # as measured there

    A latency is divided by its device's scale before it is compared, so that target and caps are those of a device of
    scale 1. The interval is that of the largest: from the largest lower end to the largest upper end. File and
    energy are the largest of any device that tells them. One after the other is measured.

    Raises:
        SettingsError: no devices, or scales that are not one number above zero for each.
    """

    def __init__(self, devices: Sequence[Device], scales: Sequence[float] | None = None) -> None:
        self.devices = tuple(devices)
        if not self.devices or not all(hasattr(device, "measure") for device in self.devices):
            raise SettingsError(
                'worst-of should be given devices as a list of tables with a name, such as devices = [{name = "cpu", '
                f'threads = 1}}, {{name = "cpu", threads = 2}}], got {devices!r}'
            )
        self.scales = tuple(scales) if scales is not None else (1.0,) * len(self.devices)
        if len(self.scales) != len(self.devices) or not all(scale > 0 for scale in self.scales):
            raise SettingsError(
                f"scales should be {len(self.devices)} numbers above zero, one for each device, got {scales!r}"
            )

    def info(self) -> DeviceInfo:
        """All of them: latencies are comparable where each device and each scale is the same.

        Raises:
            DeviceError: one of them is gone.
        """
        infos = [device.info() for device in self.devices]
        prints = [
            info.fingerprint if scale == 1 else f"{info.fingerprint} / {scale:g}"
            for info, scale in zip(infos, self.scales, strict=True)
        ]
        return DeviceInfo(
            name="worst-of",
            fingerprint="worst of " + "; ".join(prints),
            details={"devices": dict(zip(_names(infos), prints, strict=True))},
            exclusive=any(info.exclusive for info in infos),
            slots=min(info.slots for info in infos),
            notes=tuple(note for info in infos for note in info.notes),
        )

    def measure(self, architecture: Architecture) -> Latency:
        """The worst latency; `parts` has each.

        Raises:
            MeasurementError: it cannot be measured on one of them.
            DeviceError: one of them is gone.
        """
        return self._worst([device.measure(architecture) for device in self.devices])

    def measure_together(self, architectures: Sequence[Architecture], processes: int) -> list[Latency]:
        """Latencies that are to be compared, as well as each device can.

        Raises:
            MeasurementError, DeviceError: as `measure`.
        """
        columns = [measure_together(device, architectures, processes) for device in self.devices]
        return [self._worst(parts) for parts in zip(*columns, strict=True)]

    def _worst(self, parts: Sequence[Latency]) -> Latency:
        names = _names([device.info() for device in self.devices])
        scaled = list(zip(parts, self.scales, names, strict=True))
        worst, scale, name = max(scaled, key=lambda one: one[0].latency_ms / one[1])
        environment = {
            "worst": name,
            "scales": dict(zip(names, self.scales, strict=True)),
            # Lists in place of tuples: an environment is JSON.
            "devices": {n: asdict(part) | {"samples_ms": list(part.samples_ms)} for part, _, n in scaled},
        }
        notes = [note for part in parts for note in part.environment.get("notes", ())]
        files = [part.environment["model_bytes"] for part in parts if "model_bytes" in part.environment]
        return Latency(
            latency_ms=worst.latency_ms / scale,
            low_ms=max(part.low_ms / scale for part, scale, _ in scaled),
            high_ms=max(part.high_ms / scale for part, scale, _ in scaled),
            statistic=f"worst of {len(parts)} devices: {worst.statistic}",
            device=self.info().fingerprint,
            samples_ms=tuple(sample / scale for sample in worst.samples_ms),
            environment=environment
            | ({"model_bytes": max(files)} if files else {})
            | ({"notes": notes} if notes else {}),
            energy=max((p.energy for p in parts if p.energy), key=lambda energy: energy.millijoules, default=None),
        )


def _names(infos: Sequence[DeviceInfo]) -> list[str]:
    """The devices' names, numbered where several have the same."""
    times = Counter(info.name for info in infos)
    seen: Counter[str] = Counter()
    names = []
    for info in infos:
        seen[info.name] += 1
        names.append(f"{info.name} {seen[info.name]}" if times[info.name] > 1 else info.name)
    return names
