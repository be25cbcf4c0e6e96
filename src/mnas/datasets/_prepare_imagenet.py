"""ImageNet's official tar files -> the folders that ImageNetDataset reads."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mnas.errors import SettingsError, StorageError

_CLASS_TAR = re.compile(r"(n\d{8})\.tar")
_TRAIN_IMAGE = re.compile(r"(n\d{8})_\d+\.JPEG")
_VAL_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
_META, _TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"


@dataclass(frozen=True)
class _Devkit:
    train_counts: dict[str, int]  # synset -> training images
    val_synsets: list[str]  # of validation image 1, 2, ...


def prepare_imagenet(train: Path, val: Path, devkit: Path, out: Path, watch: Callable[[str], None]) -> dict[str, int]:
    """Unpack ILSVRC2012 into `out`/train/SYNSET/*.JPEG and `out`/val/SYNSET/*.JPEG; how many images each got.

    The folder is called `out`.part until it is complete; files are written whole, and a second call goes on with
    what is missing. `watch` is told now and then what is being done.

    Args:
        train: ILSVRC2012_img_train.tar, a tar of one tar per class.
        val: ILSVRC2012_img_val.tar.
        devkit: ILSVRC2012_devkit_t12.tar.gz, which knows the validation images' classes and all counts.
        out: a folder that is not there yet.
        watch: called with a line to show.

    Raises:
        SettingsError: a file is missing or another one, `out` is there, or images are missing or too many.
        StorageError: the disk is full or cannot be written; what was unpacked stays for the next call.
    """
    if out.exists():
        raise SettingsError(f"{out} is already there; name another folder or remove it")
    part = out.with_name(out.name + ".part")
    kit = _read_devkit(devkit)
    _check_space(train, val, part)
    _unpack(train, part / "train", lambda tar: _train_files(train, tar, kit), watch)
    _unpack(val, part / "val", lambda tar: _val_files(val, tar, kit), watch)
    found = {"train": _count(part / "train"), "val": _count(part / "val")}
    _check_counts(train, found["train"], Counter(kit.train_counts))
    _check_counts(val, found["val"], Counter(kit.val_synsets))
    part.rename(out)
    return {name: counts.total() for name, counts in found.items()}


@contextmanager
def _opened(path: Path, mode: Any) -> Iterator[tarfile.TarFile]:
    if not path.is_file():
        raise SettingsError(f"there is no file {path}; ImageNet's own tar files are expected, from image-net.org")
    try:
        with tarfile.open(path, mode) as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise SettingsError(f"{path} is not a whole tar file: {error}; fetch it again") from error


def _read_devkit(path: Path) -> _Devkit:
    from scipy.io import loadmat

    with _opened(path, "r:*") as tar:
        found = {wanted: name for name in tar.getnames() for wanted in (_META, _TRUTH) if name.endswith(wanted)}
        if len(found) < 2:
            raise SettingsError(
                f"{path} should be ILSVRC2012_devkit_t12.tar.gz, with {_META} and {_TRUTH}; it has neither or one"
            )
        meta, truth = (_content(tar, found[wanted]) for wanted in (_META, _TRUTH))
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        # Inner nodes of the hierarchy have children and no images of their own.
        leaves = {int(s["ILSVRC2012_ID"]): s for s in synsets if int(s["num_children"]) == 0}
        counts = {str(s["WNID"]): int(s["num_train_images"]) for s in leaves.values()}
        return _Devkit(counts, [str(leaves[int(number)]["WNID"]) for number in truth.read().split()])


def _content(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    content = tar.extractfile(name)
    if content is None:
        raise SettingsError(f"{name} in the devkit should be a file")
    return content


def _check_space(train: Path, val: Path, part: Path) -> None:
    """Before hours of unpacking. Images do not get smaller, so the tars' sizes are what is needed."""
    needed = sum(path.stat().st_size for path in (train, val) if path.is_file())
    done = sum(file.stat().st_size for file in part.rglob("*.JPEG"))
    place = next(folder for folder in part.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed - done:
        raise StorageError(
            f"{place} has {free / 1e9:.0f} GB left, and unpacking takes {(needed - done) / 1e9:.0f} GB more; make "
            "room or name another --out"
        )


File = tuple[str, int, IO[bytes]]  # path below the split's folder, bytes, content


def _train_files(path: Path, tar: tarfile.TarFile, kit: _Devkit) -> Iterator[File]:
    for outer in tar:
        synset = _matched(_CLASS_TAR, outer, path, "tars called n01440764.tar and alike")
        if synset not in kit.train_counts:
            raise SettingsError(f"{path} has the class {synset}, which the devkit does not know: another data set")
        with tarfile.open(fileobj=_content_of(tar, outer), mode="r:") as inner:
            for member in inner:
                if _matched(_TRAIN_IMAGE, member, path, f"images called {synset}_10026.JPEG and alike") != synset:
                    raise SettingsError(f"{path}: {outer.name} has the image {member.name}, of another class")
                yield f"{synset}/{member.name}", member.size, _content_of(inner, member)


def _val_files(path: Path, tar: tarfile.TarFile, kit: _Devkit) -> Iterator[File]:
    for member in tar:
        number = int(_matched(_VAL_IMAGE, member, path, "images called ILSVRC2012_val_00000001.JPEG and alike"))
        if not 1 <= number <= len(kit.val_synsets):
            raise SettingsError(f"{path} has {member.name}, but the devkit knows {len(kit.val_synsets)} images")
        yield f"{kit.val_synsets[number - 1]}/{member.name}", member.size, _content_of(tar, member)


def _matched(pattern: re.Pattern[str], member: tarfile.TarInfo, path: Path, expected: str) -> str:
    """The pattern's group; nothing that is named otherwise is ever written."""
    match = pattern.fullmatch(member.name)
    if match is None or not member.isreg():
        raise SettingsError(f"{path} holds {member.name!r}, where {expected} should be: it is another file")
    return match[1]


def _content_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    assert content is not None  # a regular file, as was checked
    return content


def _unpack(path: Path, folder: Path, files: Callable[[tarfile.TarFile], Iterator[File]], watch: Any) -> None:
    with _opened(path, "r:") as tar:
        for count, (name, size, content) in enumerate(files(tar), start=1):
            target = folder / name
            if not (target.is_file() and target.stat().st_size == size):
                _write_whole(target, content, size)
            if count % 100 == 0:
                watch(f"{folder.name}: {count:,} images")


def _write_whole(target: Path, content: IO[bytes], size: int) -> None:
    unfinished = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            shutil.copyfileobj(content, file)
            written = file.tell()
    except OSError as error:
        raise StorageError(
            f"{target} could not be written: {error}; what is unpacked stays, and the same command goes on"
        ) from error
    if written != size:
        raise SettingsError(f"{target.name} has {written} of {size} bytes: its tar is cut short; fetch it again")
    os.replace(unfinished, target)


def _count(folder: Path) -> Counter[str]:
    return Counter(file.parent.name for file in folder.glob("*/*.JPEG"))


def _check_counts(path: Path, found: Counter[str], expected: Counter[str]) -> None:
    if found != expected:
        wrong = [f"{s}: {found[s]} of {expected[s]}" for s in sorted(found | expected) if found[s] != expected[s]]
        raise SettingsError(
            f"{path} should have {expected.total()} images in {len(expected)} classes, as the devkit says; it has "
            f"{found.total()} in {len(found)} ({', '.join(wrong[:5])}): fetch it again"
        )
