"""The index of a WebDataset shard: what a tar file of images and labels holds, and where.

Made from the tar's headers once and kept in the cache folder, so that images can be read in any order.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnas._cache import cache_folder
from mnas.datasets._folders import ENDINGS
from mnas.datasets._listing import Indices
from mnas.errors import SettingsError

_FORMAT = 1  # of the kept index


@dataclass(frozen=True)
class ShardIndex:
    """The images of one shard, in the order they lie in it."""

    keys: tuple[str, ...]
    labels: tuple[str, ...]  # as written
    offsets: Indices  # bytes
    sizes: Indices  # bytes


class ShardSource:
    """Images inside tar files."""

    def __init__(self, shards: Sequence[Path], indices: Sequence[ShardIndex]) -> None:
        self._shards, self._indices = shards, indices
        self._ends = np.cumsum([len(index.keys) for index in indices])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def open(self, index: int) -> io.BytesIO:
        """The bytes of one image."""
        shard, row = self._place(index)
        with self._shards[shard].open("rb") as file:
            file.seek(int(self._indices[shard].offsets[row]))
            return io.BytesIO(file.read(int(self._indices[shard].sizes[row])))

    def name(self, index: int) -> str:
        """The shard and the key in it."""
        shard, row = self._place(index)
        return f"{self._shards[shard]}: {self._indices[shard].keys[row]}"

    def _place(self, index: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._ends, index, side="right"))
        return shard, index - int(self._ends[shard]) + len(self._indices[shard].keys)


def index_shard(shard: Path, image: str | None, label: str) -> ShardIndex:
    """The index of a shard, from the cache if the file has not changed since.

    `image` and `label` are the fields' names (`jpg`, `cls`); without `image`, any ending of an image.

    Raises:
        SettingsError: not a plain tar file, cut short, or a sample has no image or no label.
    """
    stat = shard.stat()
    what = f"{_FORMAT} {shard.resolve()} {stat.st_size} {stat.st_mtime_ns} {image} {label}"
    kept = cache_folder() / "shards" / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.npz"
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            keys, labels = (tuple(arrays[name].tolist()) for name in ("keys", "labels"))
            return ShardIndex(keys, labels, arrays["offsets"], arrays["sizes"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        index = _read(shard, image, label)
        _keep(kept, index)
        return index


def _keep(path: Path, index: ShardIndex) -> None:
    """Whole or not at all, for several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.savez(
            file,
            keys=np.asarray(index.keys, dtype=np.str_),
            labels=np.asarray(index.labels, dtype=np.str_),
            offsets=index.offsets,
            sizes=index.sizes,
        )
    os.replace(file.name, path)


def _read(shard: Path, image: str | None, label: str) -> ShardIndex:
    places: dict[str, tuple[int, int]] = {}
    labels: dict[str, str] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                key, field = _key_and_field(member.name)
                if not member.isreg() or key.rpartition("/")[2].startswith("__") or not field:
                    continue
                is_image = field == image if image else f".{field}" in ENDINGS
                if (is_image and key in places) or (field == label and key in labels):
                    raise SettingsError(
                        f"{shard} has more than one {field if field == label else 'image'} for {key}; keys should be "
                        "unique, and where samples have several images the key image says which"
                    )
                if is_image:
                    places[key] = (member.offset_data, member.size)
                elif field == label and (content := tar.extractfile(member)) is not None:
                    labels[key] = content.read().decode().strip()
    except (tarfile.TarError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{shard} is not a whole, uncompressed tar file with labels as text: {error}") from error
    _check(shard, list(places), list(labels), label)
    where = np.asarray(list(places.values()), dtype=np.int64)
    return ShardIndex(tuple(places), tuple(labels[key] for key in places), where[:, 0], where[:, 1])


def _key_and_field(name: str) -> tuple[str, str]:
    """WebDataset's convention: up to the first dot of the file's name, and what follows."""
    folder, slash, file = name.rpartition("/")
    key, _, field = file.partition(".")
    return f"{folder}{slash}{key}", field.lower()


def _check(shard: Path, images: Sequence[str], labels: Sequence[str], label: str) -> None:
    if not images:
        raise SettingsError(f"{shard} has no images ({', '.join(ENDINGS)}, or the field that the key image names)")
    for words, keys in ((f"no .{label}", set(images) - set(labels)), ("no image", set(labels) - set(images))):
        if keys:
            raise SettingsError(f"{shard} has {len(keys)} samples with {words}: {', '.join(sorted(keys)[:5])}")
