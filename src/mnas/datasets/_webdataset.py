"""WebDatasetDataset: images in tar files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnas.datasets._class_numbers import number_labels, number_several
from mnas.datasets._encoded_dataset import EncodedDataset
from mnas.datasets._listing import GROUPS, Group, Indices, Listing, listing
from mnas.datasets._shards import ShardSource, index_shard
from mnas.errors import SettingsError

_WORD = re.compile(rf"(?<![a-z])({'|'.join(GROUPS)})(?![a-z])")


@dataclass(frozen=True, kw_only=True)
class WebDatasetDataset(EncodedDataset):
    """WebDataset shards in a folder: tar files whose members `key.jpg` and `key.cls` are one sample.

    Shards with train, val or test in their names or folders are these splits, with the rules for image folders.

    Args:
        image: the field with the image, such as "jpg"; by default any ending of an image.
        label: the field with the label, as text.
        several_labels: whether that field has any number of labels, separated by spaces or commas.
        classes: the classes' names; labels that are numbers are indices into them.
    """

    image: str | None = None
    label: str = "cls"
    several_labels: bool = False
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))  # settings files give lists

    def listing(self) -> Listing:
        """The shards' samples, from their indices."""
        path = Path(self.path).expanduser()
        shards = sorted(path.rglob("*.tar"))
        if not shards:
            raise SettingsError(f"{path} should be a folder with WebDataset shards (*.tar); it has none")
        indices = [index_shard(shard, self.image, self.label) for shard in shards]
        written = [label for index in indices for label in index.labels]
        if self.several_labels:
            names, labels = number_several(
                [re.findall(r"[^\s,]+", some) for some in written], str(path), self.classes
            )
        else:
            names, labels = number_labels(written, str(path), self.classes)
        groups = _groups(path, shards, [len(index.keys) for index in indices])
        return listing(str(path), names, ShardSource(shards, indices), labels, groups, self.shares)


def _groups(path: Path, shards: Sequence[Path], sizes: Sequence[int]) -> dict[Group, Indices]:
    found = [_WORD.findall(shard.relative_to(path).as_posix().lower()) for shard in shards]
    if not any(found):
        return {"all": np.arange(sum(sizes))}
    unclear = [shard.name for shard, words in zip(shards, found, strict=True) if len({GROUPS[w] for w in words}) != 1]
    if unclear:
        raise SettingsError(
            f"{path}: either all shards or none should say one of train, val and test in their names; not so "
            f"{', '.join(unclear[:5])}"
        )
    groups = np.repeat([GROUPS[words[0]] for words in found], sizes)
    return {group: np.flatnonzero(groups == group) for group in dict.fromkeys(GROUPS.values()) if group in groups}
