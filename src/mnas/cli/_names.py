"""What a person may call things: architectures, spaces, devices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnas import registry
from mnas.config import Part, load_settings, preset_names, read_toml
from mnas.devices import Device
from mnas.errors import SettingsError, did_you_mean
from mnas.models import reference_architecture, reference_names
from mnas.space import Architecture, SearchSpace


def architecture(name: str, width: float = 1.0, resolution: int | None = None) -> Architecture:
    """The architecture behind a reference model's name, block strings, RUN:NUMBER or RUN:best.

    Raises:
        SettingsError: none of these.
    """
    if name in reference_names():
        found = reference_architecture(name, width=width)
    elif width != 1.0:
        raise SettingsError(f"a width multiplier applies to reference models ({', '.join(reference_names())})")
    elif re.match(r"(cn|ds|ir|input|stem|head|net)_", name.strip()):
        found = Architecture.parse(name)
    elif ":" in name:
        found = _trial_architecture(name)
    else:
        raise did_you_mean("architecture", name, [*reference_names(), *registry.names("space")])
    return found if resolution is None else found.replace(resolution=resolution)


def space(name: str) -> SearchSpace | None:
    """The space of that name with its defaults; None if there is none, or if it must be described."""
    needs_more = name == "blocks"
    if name not in registry.names("space") or needs_more:
        return None
    found: SearchSpace = registry.make("space", name, {})
    return found


def searched_space(name: str) -> SearchSpace:
    """The space of that name with its defaults, or the one of a preset or settings file.

    Raises:
        SettingsError: none of these.
    """
    found = space(name)
    if found is not None:
        return found
    if name in preset_names() or Path(name).suffix == ".toml":
        from mnas.plan import space_of

        return space_of(load_settings(name))
    if name in registry.names("space"):
        raise SettingsError(f"space {name!r} has to be described: name the settings file that does in place of it")
    raise did_you_mean("space, preset or settings file", name, [*registry.names("space"), *preset_names()])


def measuring_device(name: str, options: Mapping[str, Any]) -> Device:
    """The device of that name or settings file, to measure one architecture well; options of None are left out."""
    part = device_part(name, Part(name=""))
    given = {key: value for key, value in options.items() if value is not None}
    # A single measurement can afford what a search cannot: an interval over several fresh processes.
    usual = {"processes": 20} if "processes" in registry.options("device", part.name) else {}
    found: Device = registry.make("device", part.name, usual | part.options | given)
    return found


def device_part(name: str, present: Part) -> Part:
    """A device as settings: a name, an address (ssh://pi@board, adb://SERIAL), a profile or a settings file.

    The present one's own settings stay when only its name is repeated.
    """
    scheme, is_address, address = name.partition("://")
    if is_address:
        return Part.model_validate({"name": _known_device(scheme), "address": address})
    if Path(name).suffix == ".profile":
        return Part.model_validate({"name": "profile", "file": name})
    if Path(name).suffix == ".toml":
        table = read_toml(Path(name)).get("device")
        if not isinstance(table, Mapping) or "name" not in table:
            raise SettingsError(f'{name} should have a [device] table with a name, such as name = "cpu"')
        return Part(**table)
    return present if present.name == _known_device(name) else Part(name=name)


def _known_device(name: str) -> str:
    if name not in registry.names("device"):
        raise did_you_mean("device", name, registry.names("device"))
    return name


def every() -> dict[str, list[str]]:
    """Every kind of name, and the names."""
    return {
        "presets": preset_names(),
        "spaces": registry.names("space"),
        "controllers": registry.names("controller"),
        "devices": registry.names("device"),
        "datasets": registry.names("dataset"),
        "accuracies": registry.names("accuracy"),
        "models": list(reference_names()),
    }


def _trial_architecture(name: str) -> Architecture:
    from mnas.folder import load_result

    folder, _, which = name.rpartition(":")
    result = load_result(Path(folder))
    if which == "best":
        if result.best is None:
            raise SettingsError(f"{folder} has no completed trial yet")
        return result.best.architecture
    if not which.isdigit() or int(which) >= len(result.trials):
        raise SettingsError(f"{name!r} should end in a trial from 0 to {len(result.trials) - 1}, or in best")
    return result.trials[int(which)].architecture
