"""CocoDataset: images with boxes, annotated in COCO's JSON files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnas.datasets._annotated import Annotated
from mnas.datasets._annotation_check import AnnotationCheck, FoundBox, FoundImage
from mnas.datasets._boxed_dataset import BoxedDataset
from mnas.datasets._coco_file import CocoFile, read_coco
from mnas.errors import SettingsError

_LAYOUT = (
    "expected is a COCO JSON file, or a folder with annotations/instances_train2017.json, "
    "annotations/instances_val2017.json and the pictures in train2017/ and val2017/"
)


@dataclass(frozen=True, kw_only=True)
class CocoDataset(BoxedDataset):
    """A COCO JSON file with its pictures, or a folder in the layout of COCO 2017 (Lin et al. 2014).

    In one file, `split` of an image (train, val or test) says where it belongs; without any, shares are held out. In
    the folder, validation is held out of train2017, and val2017 is the test split: it is what others report on.

    Args:
        annotations: the file or the folder.
        images: the folder that the file names of the images are relative to, by default images/ beside the file,
            or where there is none the file's folder; for a folder, what holds train2017/ and val2017/.
    """

    annotations: str | Path
    images: str | Path | None = None

    @property
    def name(self) -> str:
        """That of the folder with it all."""
        path = Path(self.annotations).expanduser().resolve()
        return path.name if path.is_dir() else path.parent.name

    @property
    def place(self) -> str:
        """The file or folder."""
        return str(self.annotations)

    def annotated(self) -> Annotated:
        """The file's images and boxes, or those of both files."""
        path = Path(self.annotations).expanduser()
        images = Path(self.images).expanduser() if self.images is not None else None
        if images is not None and not images.is_dir():
            raise SettingsError(f"the folder of pictures {images} is not there; name it with the key images")
        if path.is_dir():
            return _checked(_both(path, images or path))
        beside = path.parent / "images"
        return _checked([_Part(read_coco(path), images or (beside if beside.is_dir() else path.parent), None)])


@dataclass(frozen=True)
class _Part:
    """One file, where its pictures lie and, if the file itself says it, the split of all its images."""

    file: CocoFile
    images: Path
    split: str | None


def _both(folder: Path, images: Path) -> list[_Part]:
    """Training and validation as the folder has them, the latter as test split."""
    found = {}
    for word, split in (("train", "train"), ("val", "test")):
        files = sorted((folder / "annotations").glob(f"instances_{word}*.json"))
        if len(files) != 1:
            came = ", ".join(file.name for file in files) or "none"
            raise SettingsError(
                f"{folder} should have one annotations/instances_{word}*.json, it has {came}; {_LAYOUT}"
            )
        found[split] = files[0]
    parts = [
        _Part(read_coco(file), images / file.stem.removeprefix("instances_"), split) for split, file in found.items()
    ]
    first, second = parts
    if first.file.categories != second.file.categories:
        pairs = first.file.categories.items() ^ second.file.categories.items()
        different = sorted((number, name) for name, number in pairs)
        raise SettingsError(
            f"{first.file.path} and {second.file.path} should have the same categories; different are "
            f"{', '.join(f'{number} {name}' for number, name in different[:5])}"
        )
    return parts


def _checked(parts: Sequence[_Part]) -> Annotated:
    categories = parts[0].file.categories
    check = AnnotationCheck(categories, {number: index for index, number in enumerate(categories.values())})
    for part in parts:
        file = str(part.file.path)
        for number, image in enumerate(part.file.images, start=1):
            check.add_image(file, number, _image(part, image))
        for number, box in enumerate(part.file.annotations, start=1):
            check.add_box(file, number, _box(box))
    return check.annotated()


def _image(part: _Part, image: Mapping[str, Any]) -> FoundImage:
    split = image.get("split") if part.split is None else part.split
    number, name, width, height = (image.get(key) for key in ("id", "file_name", "width", "height"))
    return FoundImage(number, name, part.images, width, height, split)


def _box(box: Mapping[str, Any]) -> FoundBox:
    number, image, category, pixels, area = (
        box.get(key) for key in ("id", "image_id", "category_id", "bbox", "area")
    )
    return FoundBox(number, image, category, pixels, area, is_ignored=bool(box.get("iscrowd")))
