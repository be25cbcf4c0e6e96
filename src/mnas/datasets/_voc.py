"""VocDataset: images with boxes in Pascal VOC's folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnas.datasets._annotated import Annotated
from mnas.datasets._annotation_check import AnnotationCheck, FoundBox, FoundImage
from mnas.datasets._boxed_dataset import BoxedDataset
from mnas.datasets._folders import ENDINGS
from mnas.datasets._voc_file import UnreadableError, VocFile, read_voc
from mnas.errors import SettingsError

_SETS = ("train", "val", "test")
_LAYOUT = (
    "expected are JPEGImages/ with the pictures, Annotations/ with an XML file for each, and ImageSets/Main/ with "
    "train.txt and val.txt or test.txt or both, which name an image a line"
)


@dataclass(frozen=True, kw_only=True)
class VocDataset(BoxedDataset):
    """A folder with JPEGImages/, Annotations/ and ImageSets/Main/ (Everingham et al. 2010).

    train.txt, val.txt and test.txt name the images of each split; of train.txt and one other, that other is the test
    split, and validation is held out of train. Objects marked difficult are not trained on, and in evaluation
    neither asked for nor held against a detector. Images and categories have no ids there: both are numbered from 1,
    images by their names.

    Args:
        path: the folder.
        classes: the names that may occur, in the order of their indices; by default those that do, sorted.
    """

    path: str | Path
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))  # settings files give lists
            if not self.classes or len(set(self.classes)) < len(self.classes):
                raise SettingsError(f"classes should be different names, at least one, got {self.classes!r}")

    @property
    def name(self) -> str:
        """The folder's."""
        return Path(self.path).expanduser().resolve().name

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.path)

    def annotated(self) -> Annotated:
        """What the XML files of the images in the sets say."""
        folder = Path(self.path).expanduser()
        listed = _listed(folder)
        files = {name: _file(folder / "Annotations" / f"{name}.xml") for _, name in listed}
        names = self.classes or sorted(_names(files))
        check = AnnotationCheck(
            {name: number for number, name in enumerate(names, start=1)},
            {name: index for index, name in enumerate(names)},
        )
        _check(check, folder, listed, files)
        annotated = check.annotated()
        # Faults name an object by its number in its file; as ground truth all need numbers of their own.
        ids = np.arange(1, len(annotated.boxes.ids) + 1)
        return replace(annotated, boxes=replace(annotated.boxes, ids=ids))


def _listed(folder: Path) -> list[tuple[Path, str]]:
    """Every line of the sets that are there: the set's file, and the image's name."""
    sets = [folder / "ImageSets" / "Main" / f"{word}.txt" for word in _SETS]
    found = [path for path in sets if path.is_file()]
    for part in (folder, folder / "JPEGImages", folder / "Annotations"):
        if not part.is_dir():
            raise SettingsError(f"the folder {part} is not there; {_LAYOUT}")
    if sets[0] not in found or len(found) == 1:
        came = ", ".join(path.name for path in found) or "none of them"
        raise SettingsError(f"{sets[0].parent} has {came}; {_LAYOUT}")
    return [(path, name) for path in found for line in _lines(path) if (name := line.strip())]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise SettingsError(f"{path} should be text with an image's name a line: {error}") from error


def _file(path: Path) -> VocFile | UnreadableError:
    try:
        return read_voc(path)
    except UnreadableError as error:
        return error


def _names(files: Mapping[str, VocFile | UnreadableError]) -> set[str]:
    read = [file for file in files.values() if isinstance(file, VocFile)]
    return {item.name for file in read for item in file.objects if item.name}


def _check(
    check: AnnotationCheck,
    folder: Path,
    listed: Sequence[tuple[Path, str]],
    files: Mapping[str, VocFile | UnreadableError],
) -> None:
    pictures = _pictures(folder / "JPEGImages")
    numbers = {name: number for number, name in enumerate(sorted(files), start=1)}
    seen: set[str] = set()
    for path, name in listed:
        file, xml = files[name], str(folder / "Annotations" / f"{name}.xml")
        if name in seen:
            check.fault("duplicate image id", str(path), "image", name, "an image should be in one set, once")
        elif isinstance(file, UnreadableError):
            check.fault("unreadable annotations", xml, "image", name, str(file))
        else:
            picture = pictures.get(name, f"{name}.jpg")
            found = FoundImage(numbers[name], picture, folder / "JPEGImages", file.width, file.height, path.stem)
            check.add_image(xml, numbers[name], found)
            for number, box in enumerate(_boxes(file, numbers[name]), start=1):
                check.add_box(xml, number, box)
        seen.add(name)


def _boxes(file: VocFile, image: int) -> Iterator[FoundBox]:
    for number, item in enumerate(file.objects, start=1):
        yield FoundBox(number, image, item.name, item.pixels, is_ignored=item.is_difficult)


def _pictures(folder: Path) -> dict[str, str]:
    """Image's name -> its file's: of several with one name the .jpg, as VOC has them."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    return {path.stem: path.name for path in sorted(files, key=lambda path: path.suffix.lower() == ".jpg")}
