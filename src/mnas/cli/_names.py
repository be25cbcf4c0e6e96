"""What a person may call things: architectures, spaces, devices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas import registry
from mnas._toml import read_toml
from mnas.config import BudgetSettings, Part, load_settings, preset_names
from mnas.errors import SettingsError, did_you_mean
from mnas.models import reference_architecture, reference_names
from mnas.result import SearchResult
from mnas.space import Architecture, SearchSpace
from mnas.training import recipe_names
from mnas.trial import Trial

if TYPE_CHECKING:
    from PIL import Image


def architecture(name: str, width: float = 1.0, resolution: int | None = None) -> Architecture:
    """The architecture behind a reference model's name, block strings, RUN:NUMBER or RUN:best.

    Raises:
        SettingsError: none of these.
    """
    if name in reference_names():
        found = reference_architecture(name, width=width)
    elif width != 1.0:
        raise SettingsError(f"a width multiplier applies to reference models ({', '.join(reference_names())})")
    elif _is_blocks(name):
        found = Architecture.parse(name)
    elif ":" in name:
        found = trial(name)[1].architecture
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


def device_with(name: str, options: Mapping[str, Any]) -> Part:
    """The device of that name or settings file, with these options; those of None are left out."""
    part = device_part(name, Part(name=""))
    given = {key: value for key, value in options.items() if value is not None}
    return Part.model_validate({"name": part.name, **part.options, **given})


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


def dataset_part(name: str) -> Part:
    """A data set as settings: a registered name, a folder of images, an .npz file or a settings file with [dataset].

    Raises:
        SettingsError: none of these.
    """
    path = Path(name).expanduser()
    if name in registry.names("dataset"):
        return Part(name=name)
    if path.suffix == ".toml":
        table = read_toml(path).get("dataset")
        if not isinstance(table, Mapping) or "name" not in table:
            raise SettingsError(f'{name} should have a [dataset] table with a name, such as name = "digits"')
        return Part(**_absolute(table))
    kind = "folder" if path.is_dir() else "npz" if path.suffix == ".npz" else None
    if kind is not None:
        return Part.model_validate({"name": kind, "path": str(path.resolve())})
    if len(path.parts) > 1:
        raise SettingsError(f"there is no folder of images {path}; --data takes one, or a data set's name")
    raise did_you_mean("data set or folder", name, registry.names("dataset"))


def detection_part(name: str, images: Path | None) -> Part:
    """A data set with boxes as settings: COCO annotations, a folder of COCO or Pascal VOC, or a settings file.

    Raises:
        SettingsError: none of these.
    """
    path = Path(name).expanduser()
    if images is not None and path.suffix != ".json":
        raise SettingsError(f"--images goes with annotations in one file (.json); {name} tells the place itself")
    if path.suffix == ".toml":
        table = read_toml(path).get("dataset")
        if not isinstance(table, Mapping) or "name" not in table:
            raise SettingsError(f'{name} should have a [dataset] table with a name, such as name = "coco"')
        return Part(**_absolute(table))
    if path.suffix == ".json":
        if images is None:
            raise SettingsError(f"--images is needed beside {name}: the folder of the pictures that it names")
        places = {"annotations": str(path.resolve()), "images": str(images.expanduser().resolve())}
        return Part.model_validate({"name": "coco", **places})
    if (path / "JPEGImages").is_dir():
        return Part.model_validate({"name": "voc", "path": str(path.resolve())})
    if (path / "annotations").is_dir():
        return Part.model_validate({"name": "coco", "annotations": str(path.resolve())})
    raise SettingsError(
        "--data should be COCO annotations (.json), a folder with annotations/instances_train2017.json or with "
        f"Pascal VOC's JPEGImages, or a settings file with [dataset]; {name} is none of these"
    )


def picture(path: Path) -> Image.Image:
    """An image file's picture.

    Raises:
        SettingsError: there is none, or it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return image.convert("RGB")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} should be a picture that can be read: {error}") from error


def save_picture(image: Image.Image, path: Path) -> None:
    """Write a picture in the format of its file's ending.

    Raises:
        SettingsError: the ending is none of a known format, or the folder is not there.
    """
    try:
        image.save(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot write the picture {path}: {error}") from error


def budget_changes(pairs: Sequence[str]) -> dict[str, Any]:
    """Keys of [budget] with their values, as KEY=VALUE gives them; None for KEY=none.

    Raises:
        SettingsError: an unknown key, or no value.
    """
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in BudgetSettings.model_fields:
            raise did_you_mean("key in 'budget':", key, BudgetSettings.model_fields)
        if not value:
            raise SettingsError(f"--budget should be KEY=VALUE, such as hours=8, or KEY=none; got {pair!r}")
        changes[key] = None if value == "none" else value
    return changes


def trial(name: str) -> tuple[SearchResult, Trial]:
    """The run and the trial that RUN:NUMBER or RUN:best names.

    Raises:
        SettingsError: no such trial.
        StorageError: no such run.
    """
    from mnas.folder import load_result

    folder, _, which = name.rpartition(":")
    result = load_result(Path(folder))
    if which == "best":
        if result.best is None:
            raise SettingsError(f"{folder} has no completed trial yet")
        return result, result.best
    if not which.isdigit() or int(which) >= len(result.trials):
        raise SettingsError(f"{name!r} should end in a trial from 0 to {len(result.trials) - 1}, or in best")
    return result, result.trials[int(which)]


def is_trial(name: str) -> bool:
    """Whether this names a trial of a run, as RUN:NUMBER or RUN:best."""
    return re.search(r":(best|\d+)$", name) is not None and not _is_blocks(name)


def _is_blocks(name: str) -> bool:
    return re.match(r"(cn|ds|ir|input|stem|head|ssdlite|net)_", name.strip()) is not None


def _absolute(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with its paths as they are found from everywhere."""
    places = {key: table[key] for key in ("path", "annotations", "images") if isinstance(table.get(key), str)}
    return dict(table) | {key: str(Path(place).expanduser().resolve()) for key, place in places.items()}


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
        "detection datasets": registry.names("detection"),
        "accuracies": registry.names("accuracy"),
        "executors": registry.names("executor"),
        "models": list(reference_names()),
        "recipes": recipe_names(),
    }
