"""Names -> parts: what comes with mnas, and what other packages add through entry points.

A package adds a controller of its own in its `pyproject.toml`:

    [project.entry-points."mnas.controllers"]
    bandit = "my_package:Bandit"

and `mnas search` finds it under that name. Likewise `mnas.spaces`, `mnas.devices`, `mnas.datasets`,
`mnas.detection_datasets`, `mnas.accuracy` and `mnas.executors`. Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, Literal

from mnas.errors import SettingsError, did_you_mean

Kind = Literal["space", "controller", "device", "dataset", "detection", "accuracy", "executor"]

_BUILT_IN: Mapping[Kind, Mapping[str, str]] = {
    "space": {
        "mnasnet": "mnas.space:mnasnet_space",
        "mnasnet-layerwise": "mnas.space:mnasnet_layerwise_space",
        "blocks": "mnas.space:described_space",
        "accel-nasbench": "mnas.space:accel_nasbench_space",
    },
    "controller": {
        "ppo": "mnas.controllers:PPO",
        "reinforce": "mnas.controllers:Reinforce",
        "evolution": "mnas.controllers:RegularizedEvolution",
        "random": "mnas.controllers:RandomSearch",
        "guided": "mnas.controllers:Guided",
        "local": "mnas.controllers:LocalSearch",
        "nsga2": "mnas.controllers:NSGA2",
        "optuna": "mnas.controllers:OptunaController",
    },
    "device": {
        "cpu": "mnas.devices:LocalDevice",
        "ssh": "mnas.devices:SshDevice",
        "adb": "mnas.devices:AndroidDevice",
        "simulated": "mnas.devices:SimulatedDevice",
        "profile": "mnas.devices:ProfileDevice",
        "accel-nasbench": "mnas.devices:SurrogateDevice",
        "worst-of": "mnas.devices:WorstOf",
        "pool": "mnas.devices:Pool",
    },
    "dataset": {
        "digits": "mnas.datasets:DigitsDataset",
        "fashion-mnist": "mnas.datasets:FashionMNISTDataset",
        "cifar10": "mnas.datasets:CIFAR10Dataset",
        "cifar100": "mnas.datasets:CIFAR100Dataset",
        "npz": "mnas.datasets:NpzDataset",
        "folder": "mnas.datasets:FolderDataset",
        "imagenet": "mnas.datasets:ImageNetDataset",
        "webdataset": "mnas.datasets:WebDatasetDataset",
        "huggingface": "mnas.datasets:HuggingFaceDataset",
    },
    "detection": {
        "coco": "mnas.datasets:CocoDataset",
        "voc": "mnas.datasets:VocDataset",
    },
    "accuracy": {
        "proxy": "mnas.accuracy:ProxyTask",
        "detection": "mnas.accuracy:DetectionProxy",
        "simulated": "mnas.accuracy:SimulatedAccuracy",
        "accel-nasbench": "mnas.accuracy:SurrogateAccuracy",
    },
    "executor": {
        "processes": "mnas.executors:ProcessExecutor",
        "in-process": "mnas.executors:InProcessExecutor",
        "ray": "mnas.executors:RayExecutor",
    },
}
_TABLES: Mapping[Kind, str] = {"detection": "dataset"}  # of a settings file, where they are not the kind's name
_FRESH_PROCESSES = 20  # of a few measurements: more than a search could afford
# Where a part was an object and no name, a run's settings have this and its class.
FROM_PYTHON = "python:"
_GROUPS: Mapping[Kind, str] = {
    "space": "mnas.spaces",
    "controller": "mnas.controllers",
    "device": "mnas.devices",
    "dataset": "mnas.datasets",
    "detection": "mnas.detection_datasets",
    "accuracy": "mnas.accuracy",
    "executor": "mnas.executors",
}


def names(kind: Kind) -> list[str]:
    """Every known name of a kind, mnas' own first."""
    added = {entry.name for entry in entry_points(group=_GROUPS[kind])}
    return [*_BUILT_IN[kind], *sorted(added - _BUILT_IN[kind].keys())]


def lookup(kind: Kind, name: str) -> Callable[..., Any]:
    """The class or function behind a name.

    Raises:
        SettingsError: unknown; the message has the nearest known name.
    """
    if name in _BUILT_IN[kind]:
        module, _, attribute = _BUILT_IN[kind][name].partition(":")
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        return found
    for entry in entry_points(group=_GROUPS[kind]):
        if entry.name == name:
            loaded: Callable[..., Any] = entry.load()
            return loaded
    if name.startswith(FROM_PYTHON):
        raise SettingsError(
            f"the {kind} of this search is an object of {name.removeprefix(FROM_PYTHON)}, which only the program "
            "that made it can make again: call mnas.search there, with the run's folder as out"
        )
    raise did_you_mean(kind, name, names(kind))


def options(kind: Kind, name: str) -> dict[str, inspect.Parameter]:
    """The settings that a part takes, by name."""
    parameters = inspect.signature(lookup(kind, name)).parameters.values()
    keywords = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {parameter.name: parameter for parameter in parameters if parameter.kind in keywords}


def make(kind: Kind, name: str, settings: Mapping[str, Any], **offered: Any) -> Any:
    """The part of that name with these settings; of what is `offered` it gets what it asks for by name.

    Where a device takes a list of devices, tables with a name are made into these first.

    Raises:
        SettingsError: unknown name or key, or a value that the part refuses.
    """
    check(kind, name, settings, offered)
    factory, wanted = lookup(kind, name), options(kind, name)
    given = {key: value for key, value in offered.items() if key in wanted}
    if kind == "device":
        settings = {key: _with_devices(value) for key, value in settings.items()}
    try:
        return factory(**given, **settings)
    except TypeError as error:
        raise SettingsError(f"{kind} {name!r} refuses its settings {dict(settings)}: {error}") from error


def check(kind: Kind, name: str, settings: Mapping[str, Any], offered: Iterable[str]) -> None:
    """Refuse what `make` would refuse before it makes anything.

    Raises:
        SettingsError: unknown name or key, or one that is missing.
    """
    wanted = options(kind, name)
    known = [key for key in wanted if key not in offered]
    for key in settings:
        if key not in known:
            raise did_you_mean(f"key for {kind} {name!r}:", key, known)
    missing = [
        key
        for key, parameter in wanted.items()
        if key in known and key not in settings and parameter.default is inspect.Parameter.empty
    ]
    if missing:
        table = _TABLES.get(kind, kind)
        raise SettingsError(
            f"{kind} {name!r} needs {', '.join(missing)}: write it under [{table}] in the settings file"
        )


def measuring_device(name: str, settings: Mapping[str, Any]) -> Any:
    """The device of that name to measure a few networks well: over several fresh processes, where it has any.

    Raises:
        SettingsError: as `make`.
    """
    usual = {"processes": _FRESH_PROCESSES} if "processes" in options("device", name) else {}
    return make("device", name, usual | dict(settings))


def _with_devices(value: Any) -> Any:
    """A device in place of each table in a list that has a name."""
    return [_device(item) for item in value] if isinstance(value, (list, tuple)) else value


def _device(item: Any) -> Any:
    if not isinstance(item, Mapping) or "name" not in item:
        return item
    return make("device", item["name"], {key: value for key, value in item.items() if key != "name"})
