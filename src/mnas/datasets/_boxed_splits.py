"""The splits of images with boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from mnas.datasets._annotated import Annotated
from mnas.datasets._contract import Part
from mnas.datasets._listing import Indices, Shares
from mnas.errors import SettingsError


def boxed_splits(place: str, annotated: Annotated, shares: Shares) -> dict[Part, Indices]:
    """The images of each part, in the order of the annotations.

    Of images in no groups, shares are held out. Training and one other group: that other is the test split, and
    validation is held out of training.

    Raises:
        SettingsError: there are no images or boxes, groups that make no splits, or a split without boxes.
    """
    if not len(annotated.ids) or not len(annotated.boxes.ids):
        what = "no images" if not len(annotated.ids) else "no boxes"
        left = f", with {len(annotated.faults)} faults left out" if annotated.faults else ""
        raise SettingsError(f"{place} has {what}{left}; images with boxes are needed to train on")
    groups = annotated.groups
    if groups.keys() == {"all"}:
        rest, test = _hold_out(place, annotated, groups["all"], shares.test, shares.seed)
        train, validation = _hold_out(place, annotated, rest, shares.validation, shares.seed)
    elif groups.keys() == {"train", "validation", "test"}:
        train, validation, test = groups["train"], groups["validation"], groups["test"]
    elif "train" in groups and len(groups) == 2 and "all" not in groups:
        [test] = [indices for group, indices in groups.items() if group != "train"]
        train, validation = _hold_out(place, annotated, groups["train"], shares.validation, shares.seed)
    else:
        raise SettingsError(
            f"{place} should have images for training and for test or validation, or no such splits at all; it has "
            f"{', '.join(groups)}{' (all: in no split)' if 'all' in groups else ''}"
        )
    return _checked(place, annotated, {"train": train, "validation": validation, "test": test})


def _hold_out(place: str, annotated: Annotated, indices: Indices, share: float, seed: int) -> tuple[Indices, Indices]:
    """Those that stay and those held out, by a digest of each image's id and the seed.

    So the images of a file sorted anew, and nearly all of one that has grown, stay where they are.
    """
    count = round(share * len(indices)) if share < 1 else int(share)
    if not 1 <= count < len(indices):
        raise SettingsError(
            f"{place}: {share:g} of {len(indices)} images cannot be held out: at least 1 should be, and at least 1 "
            "stay; change validation or test, or add images"
        )
    ids = annotated.ids[indices].tolist()
    digests = [hashlib.sha256(f"{seed} {number}".encode()).digest() for number in ids]
    held = np.sort(indices[sorted(range(len(indices)), key=digests.__getitem__)[:count]])
    return np.setdiff1d(indices, held), held


def _checked(place: str, annotated: Annotated, parts: Mapping[Part, Indices]) -> dict[Part, Indices]:
    """The parts, and training and validation as one, where a detector can be trained and scored on them."""
    used = np.concatenate([[0], np.cumsum(~annotated.boxes.is_ignored)])
    counts = np.diff(used[annotated.boxes.starts])  # per image
    for part, indices in parts.items():
        if not counts[indices].any():
            raise SettingsError(
                f"{place}: the {part} split has {len(indices)} images and no boxes; add some, or change the splits"
            )
    trainval = np.concatenate([parts["train"], parts["validation"]])
    return {**parts, "trainval": trainval}
