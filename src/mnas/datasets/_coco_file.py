"""CocoFile: what a COCO JSON file says, before it is checked image by image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnas.errors import SettingsError

_KEYS = ("images", "annotations", "categories")
_EXPECTED = f"a COCO file is one JSON object with the lists {', '.join(_KEYS)}"


@dataclass(frozen=True)
class CocoFile:
    """The lists of one file, of objects whose values may be wrong."""

    path: Path
    categories: Mapping[str, int]  # name -> id, by their ids
    images: tuple[dict[str, Any], ...]
    annotations: tuple[dict[str, Any], ...]


def read_coco(path: Path) -> CocoFile:
    """A COCO file without its masks.

    Raises:
        SettingsError: no such file, not JSON or cut short, JSON of another kind, or categories without an id and a
            name of their own.
    """
    data = _object(path)
    for key in _KEYS:
        if not isinstance(data.get(key), list) or not all(isinstance(item, dict) for item in data[key]):
            came = f"{key} that are no list of objects" if key in data else f"no {key}"
            raise SettingsError(f"{path} has {came}; {_EXPECTED}")
    categories = _categories(path, data["categories"])
    return CocoFile(path, categories, tuple(data["images"]), tuple(data["annotations"]))


def _object(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            data = json.load(file, object_hook=_without_mask)
    except FileNotFoundError as error:
        raise SettingsError(f"there is no annotation file {path}; {_EXPECTED}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is cut short or not JSON: {error}; {_EXPECTED}") from error
    if isinstance(data, list) and data and isinstance(data[0], dict) and "score" in data[0]:
        raise SettingsError(f"{path} holds detections (a list with scores), not annotations; {_EXPECTED}")
    if not isinstance(data, dict):
        raise SettingsError(f"{path} holds a {type(data).__name__}; {_EXPECTED}")
    return data


def _without_mask(item: dict[str, Any]) -> dict[str, Any]:
    """Outlines are most of COCO's files, and nothing here needs them: dropped at once they take no memory."""
    item.pop("segmentation", None)
    return item


def _categories(path: Path, found: list[dict[str, Any]]) -> dict[str, int]:
    pairs = [(item.get("id"), item.get("name")) for item in found]
    typed = [(number, name) for number, name in pairs if isinstance(number, int) and isinstance(name, str)]
    are_distinct = len({number for number, _ in typed}) == len({name for _, name in typed}) == len(pairs)
    if not pairs or not are_distinct:
        came = ", ".join(f"{number!r} {name!r}" for number, name in pairs[:10]) or "none"
        raise SettingsError(
            f"{path} should have categories, each with a whole number as id and a name, no two alike; it has {came}"
        )
    return {name: number for number, name in sorted(typed)}
