"""How architectures, spaces, latencies, devices, profiles and names look on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from mnas.cli import _console
from mnas.objective import Latency
from mnas.space import (
    Architecture,
    SearchSpace,
    count_by_block,
    count_madds,
    count_params,
    peak_activation_bytes,
    weight_bytes,
)

if TYPE_CHECKING:
    from mnas.devices import Reachable
    from mnas.profiles import Profile  # needs numpy and scipy, which take a moment


def print_profile(path: Path, profile: Profile, as_json: bool) -> None:
    """What a profile knows and how well it predicts."""
    counts = profile.measured["measurements"]
    if as_json:
        _console.print_json(
            {
                "profile": str(path),
                "version": profile.version,
                "device": profile.device,
                "space": profile.space.get("name"),
                "layer_shapes": len(profile.layers_ms),
                "error": asdict(profile.error),
                "measured": dict(profile.measured),
                "transferred_from": dict(profile.transferred_from) or None,
            }
        )
        return
    target = _console.out()
    target.print(profile.device, markup=False)
    if origin := profile.transferred_from:
        target.print(f"transferred from profile {origin['profile']} of {origin['device']}", markup=False)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    target.print(f"{sum(counts.values())} measurements ({kinds}) in {profile.measured['seconds']:.0f} s")
    target.print(f"it covers the {len(profile.layers_ms):,} layer shapes of space {profile.space.get('name')}")
    target.print(str(profile.error))
    target.print(f"wrote {path}; search with: mnas search PRESET --device {path}", markup=False)


def print_architecture(name: str, architecture: Architecture, as_json: bool) -> None:
    """An architecture as a table with counts per block."""
    totals = {
        "params": count_params(architecture),
        "madds": count_madds(architecture),
        "weight_bytes": weight_bytes(architecture),
        "peak_activation_bytes": peak_activation_bytes(architecture),
    }
    if as_json:
        _console.print_json(
            {
                "name": name,
                "id": architecture.id,
                **totals,
                "block_strings": list(architecture.block_strings),
                "architecture": str(architecture),
                "resolution": architecture.resolution,
            }
        )
        return
    table = Table("row", "block", "output", "params", "MAdds")
    for label, block, rows in count_by_block(architecture):
        table.add_row(
            label, block, f"{rows[-1].resolution} x {rows[-1].resolution}",
            f"{sum(row.params for row in rows):,}", f"{sum(row.madds for row in rows):,}",
        )  # fmt: skip
    target = _console.out()
    target.print(table)
    target.print(
        f"{totals['params']:,} parameters, {totals['madds']:,} MAdds at {architecture.resolution} px, "
        f"{totals['weight_bytes'] / 1e6:.2f} MB of float32 weights, "
        f"{totals['peak_activation_bytes'] / 1e6:.2f} MB of float32 activations, id {architecture.id}"
    )
    target.print(str(architecture), markup=False, soft_wrap=True)


def print_space(space: SearchSpace, as_json: bool) -> None:
    """A search space: its choices and both its sizes."""
    if as_json:
        choices = [{"name": choice.name, "options": list(choice.options)} for choice in space.choices]
        sizes = {"size": space.size(), "distinct_size": space.distinct_size()}
        _console.print_json({"name": space.name, **sizes, "choices": choices})
        return
    table = Table("choice", "options")
    for choice in space.choices:
        table.add_row(choice.name, ", ".join(map(str, choice.options)))
    target = _console.out()
    target.print(table)
    size, distinct = space.size(), space.distinct_size()
    target.print(f"{len(space.choices)} choices: {size:,} ({size:.2e}) combinations")
    target.print(f"{distinct:,} ({distinct:.2e}) distinct networks")


def print_latency(name: str, architecture: Architecture, latency: Latency, as_json: bool) -> None:
    """A measurement with its interval and conditions."""
    if as_json:
        document = {
            "name": name,
            "id": architecture.id,
            "latency_ms": latency.latency_ms,
            "latency_ci_ms": [latency.low_ms, latency.high_ms],
            "statistic": latency.statistic,
            "device": latency.device,
            "samples_ms": list(latency.samples_ms),
            "environment": dict(latency.environment),
            "energy": asdict(latency.energy) if latency.energy else None,
        }
        _console.print_json(document)
        return
    target = _console.out()
    target.print(
        f"{name}: {latency.latency_ms:.4g} ms (95 % interval {latency.low_ms:.4g} - {latency.high_ms:.4g} ms), "
        f"{latency.statistic}",
        markup=False,
    )
    if latency.energy:
        energy = latency.energy
        target.print(
            f"{energy.millijoules:.4g} mJ per inference above idle "
            f"(95 % interval {energy.low:.4g} - {energy.high:.4g} mJ), {energy.meter}",
            markup=False,
        )
    for part_name, part in latency.parts.items():
        target.print(
            f"{part_name}: {part.latency_ms:.4g} ms (95 % interval {part.low_ms:.4g} - {part.high_ms:.4g} ms)",
            markup=False,
        )
    target.print(latency.device, markup=False)
    for key, value in latency.environment.items():
        if key == "devices":
            continue  # said above; all of it is in the JSON document
        target.print(f"  {key}: {value}", markup=False)


def print_devices(found: Sequence[Reachable], as_json: bool) -> None:
    """Devices with their runtimes, and why some cannot be used."""
    if as_json:
        _console.print_json({"devices": [asdict(device) for device in found]})
        return
    table = Table("--device", "what it is", "runtimes")
    for device in found:
        runtimes = ", ".join(f"{name} {version}" for name, version in device.runtimes.items())
        table.add_row(device.address, device.what + (f": {device.problem}" if device.problem else ""), runtimes)
    _console.out().print(table, markup=False)


def print_names(known: Mapping[str, Sequence[str]], as_json: bool) -> None:
    """Names by kind."""
    if as_json:
        _console.print_json({kind: list(names) for kind, names in known.items()})
        return
    for kind, names in known.items():
        _console.out().print(f"{kind}: {', '.join(names)}", markup=False)
