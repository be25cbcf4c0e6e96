"""VocFile: what one XML file of Pascal VOC says, before it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


class UnreadableError(Exception):
    """An annotation file is not there, cut short or of another kind."""


@dataclass(frozen=True)
class VocObject:
    """One object; what is missing is None, what is no number stays text."""

    name: str | None
    corners: tuple[Any, ...]  # xmin, ymin, xmax, ymax: pixels counted from 1, the last ones inside
    is_difficult: bool

    @property
    def pixels(self) -> tuple[Any, ...]:
        """x, y, width, height from the image's corner; as they came where they are no numbers."""
        if not all(isinstance(value, float) for value in self.corners):
            return self.corners
        left, top, right, bottom = self.corners
        return left - 1, top - 1, right - left + 1, bottom - top + 1


@dataclass(frozen=True)
class VocFile:
    """The size of an image, and its objects."""

    width: Any
    height: Any
    objects: tuple[VocObject, ...]


def read_voc(path: Path) -> VocFile:
    """The annotations of one image.

    Raises:
        UnreadableError: the file is not there, not whole or of another kind.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise UnreadableError(f"it cannot be read ({error.strerror})") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two: encodings
        raise UnreadableError(f"it is cut short or not XML ({error})") from error
    if root.tag != "annotation":
        raise UnreadableError(f"its outermost element should be annotation, it is {root.tag}")
    return VocFile(
        _number(root.findtext("size/width")),
        _number(root.findtext("size/height")),
        tuple(_object(element) for element in root.findall("object")),
    )


def _object(element: ElementTree.Element) -> VocObject:
    name = (element.findtext("name") or "").strip()
    corners = tuple(_number(element.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax"))
    return VocObject(name or None, corners, (element.findtext("difficult") or "0").strip() == "1")


def _number(text: str | None) -> Any:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text
