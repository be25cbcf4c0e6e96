"""Which image files a folder holds, of which class and for which split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnas.datasets._split import stratified_split
from mnas.errors import SettingsError

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_TRAIN, _VALIDATION, _TEST = ("train", "training"), ("val", "valid", "validation"), ("test",)
_LAYOUTS = (
    "expected are class folders of images (cat/1.jpg, dog/2.jpg, ...), or train/ with test/ or val/ or both, each "
    "with such class folders"
)

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """All image files with their classes, and the indices of each split's."""

    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: Indices
    train: Indices
    validation: Indices
    test: Indices


def read_tree(path: Path, validation: float, test: float, seed: int) -> Tree:
    """The splits of an image folder, in any of the layouts that docs/datasets.md shows.

    Raises:
        SettingsError: the folder is missing, has no class folders, one class, an empty class, or splits whose
            classes differ.
    """
    check_folder(path)
    train, val, tested = (_subfolder(path, names) for names in (_TRAIN, _VALIDATION, _TEST))
    if train is None:
        found = _gather([path])
        rest, held = stratified_split(found.labels, test, seed, found.class_names)
        return _hold_out(found, rest, held, validation, seed)
    if tested is not None and val is not None:
        found = _gather([train, val, tested])
        return Tree(found.class_names, found.files, found.labels, *found.groups())
    if tested is None and val is None:
        raise SettingsError(f"{path} has {train.name}/ but neither test/ nor val/; {_LAYOUTS}")
    return tree_with_test(train, tested or val or train, validation, seed)


def tree_with_test(train: Path, test: Path, validation: float, seed: int) -> Tree:
    """Training and test images as their folders say; search-validation is held out of the training images.

    Raises:
        SettingsError: as `read_tree`.
    """
    for folder in (train, test):
        check_folder(folder)
    found = _gather([train, test])
    rest, held = found.groups()
    return _hold_out(found, rest, held, validation, seed)


def check_folder(path: Path) -> None:
    """Raise SettingsError unless there is such a folder."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "is not there"
        raise SettingsError(f"the image folder {path} {what}; {_LAYOUTS}")


@dataclass(frozen=True)
class _Found:
    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: Indices
    sizes: tuple[int, ...]  # images per folder

    def groups(self) -> list[Indices]:
        """The indices of each folder's images."""
        return np.split(np.arange(len(self.files)), np.cumsum(self.sizes)[:-1])


def _hold_out(found: _Found, rest: Indices, test: Indices, validation: float, seed: int) -> Tree:
    stay, held = stratified_split(found.labels[rest], validation, seed, found.class_names)
    return Tree(found.class_names, found.files, found.labels, rest[stay], rest[held], test)


def _gather(folders: Sequence[Path]) -> _Found:
    """The images of some folders of class folders, which must have the same classes."""
    groups = [_class_files(folder) for folder in folders]
    names = tuple(groups[0])
    for folder, group in zip(folders, groups, strict=True):
        if tuple(group) != names:
            _refuse_difference(folders[0], names, folder, tuple(group))
    files = [file for group in groups for members in group.values() for file in members]
    labels = [label for group in groups for label, members in enumerate(group.values()) for _ in members]
    sizes = tuple(sum(map(len, group.values())) for group in groups)
    return _Found(names, tuple(files), np.asarray(labels, dtype=np.int64), sizes)


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


def _subfolder(path: Path, names: Sequence[str]) -> Path | None:
    return next((path / name for name in names if (path / name).is_dir()), None)
