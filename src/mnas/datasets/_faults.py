"""Faults: all that is wrong with annotations, told before anything is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mnas.errors import SettingsError

FaultKind = Literal[
    "wrong id",
    "duplicate image id",
    "duplicate annotation id",
    "wrong image size",
    "missing picture",
    "unknown split",
    "unreadable annotations",
    "unknown image",
    "unknown category",
    "wrong box",
    "no area",
    "box outside",
    "wrong area",
]
_LISTED = 10  # faults that a message names


@dataclass(frozen=True)
class Fault:
    """What is wrong with one annotation or one image.

    >>> print(Fault("no area", "boxes.json", "annotation", 17, "its box is 0 wide"))
    boxes.json: annotation 17: its box is 0 wide
    """

    kind: FaultKind
    file: str  # that holds the annotation
    item: Literal["image", "annotation"]
    id: int | str  # the file's, or where that is wrong the item's number in the file
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.item} {self.id}: {self.reason}"


def refuse_faults(place: str, faults: Sequence[Fault]) -> None:
    """Raise SettingsError with the first of the faults, the number of all and of each kind; return if none."""
    if not faults:
        return
    kinds = ", ".join(f"{count} x {kind}" for kind, count in Counter(fault.kind for fault in faults).most_common())
    more = f", here the first {_LISTED}" if len(faults) > _LISTED else ""
    lines = "\n".join(f"  {fault}" for fault in faults[:_LISTED])
    raise SettingsError(
        f"the annotations of {place} have {len(faults)} fault{'s' if len(faults) > 1 else ''} ({kinds}){more}:\n"
        f'{lines}\nmend them, or leave these annotations and images out with on_fault = "drop"; '
        "the data set's faults has them all"
    )
