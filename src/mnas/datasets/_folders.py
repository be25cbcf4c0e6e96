"""Which image files a folder of class folders holds, of which class and for which split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mnas.datasets._listing import GROUPS, Group, Indices, Listing, Shares, listing
from mnas.datasets._source import FileSource
from mnas.errors import SettingsError

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_LAYOUTS = (
    "expected are class folders of images (cat/1.jpg, dog/2.jpg, ...), or train/ with test/ or val/ or both, each "
    "with such class folders, or a labels.csv"
)


def check_folder(path: Path) -> None:
    """Raise SettingsError unless there is such a folder."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "is not there"
        raise SettingsError(f"the image folder {path} {what}; {_LAYOUTS}")


def list_folders(path: Path, shares: Shares) -> Listing:
    """The splits of an image folder, in any of the layouts that docs/datasets.md shows.

    Raises:
        SettingsError: the folder has no class folders, one class, an empty class, or splits whose classes differ.
    """
    groups: dict[Group, Path] = {}
    for name, group in GROUPS.items():
        if (path / name).is_dir():
            groups.setdefault(group, path / name)
    if "train" not in groups:
        return list_groups(path, {"all": path}, shares)
    if len(groups) == 1:
        raise SettingsError(f"{path} has {groups['train'].name}/ but neither test/ nor val/; {_LAYOUTS}")
    return list_groups(path, groups, shares)


def list_groups(path: Path, folders: Mapping[Group, Path], shares: Shares) -> Listing:
    """The splits of some folders of class folders, which must have the same classes.

    Raises:
        SettingsError: as `list_folders`.
    """
    for folder in folders.values():
        check_folder(folder)
    found = [_class_files(folder) for folder in folders.values()]
    names = tuple(found[0])
    for folder, classes in zip(folders.values(), found, strict=True):
        if tuple(classes) != names:
            _refuse_difference(next(iter(folders.values())), names, folder, tuple(classes))
    files = [file for classes in found for members in classes.values() for file in members]
    labels = [label for classes in found for label, members in enumerate(classes.values()) for _ in members]
    ends = np.cumsum([sum(map(len, classes.values())) for classes in found])
    parts: list[Indices] = np.split(np.arange(len(files)), ends[:-1])
    groups = dict(zip(folders, parts, strict=True))
    return listing(str(path), names, FileSource(files), np.asarray(labels, dtype=np.int64), groups, shares)


def _refuse_difference(first: Path, names: Sequence[str], second: Path, others: Sequence[str]) -> None:
    only = [(first, sorted(set(names) - set(others))), (second, sorted(set(others) - set(names)))]
    parts = [f"only in {folder}: {', '.join(missing[:5])}" for folder, missing in only if missing]
    raise SettingsError(f"{first} and {second} should have the same class folders; {'; '.join(parts)}")


def _class_files(folder: Path) -> Mapping[str, list[Path]]:
    """Class name -> image files, both sorted, so that every machine sees the same order."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise SettingsError(f"{folder} has no class folders, so there are zero classes; {_LAYOUTS}")
    if len(classes) == 1:
        raise SettingsError(f"{folder} has one class folder, {classes[0]}/; at least two classes are needed")
    found = {name: _images_below(folder / name) for name in classes}
    empty = [name for name, files in found.items() if not files]
    if empty:
        raise SettingsError(
            f"{folder} has class folders without images: {', '.join(empty[:5])}; remove them or add images "
            f"({', '.join(ENDINGS)})"
        )
    return found


def _images_below(folder: Path) -> list[Path]:
    found = (
        Path(place, name)
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.lower().endswith(ENDINGS) and not name.startswith(".")
    )
    return sorted(found, key=Path.as_posix)
