"""ImageNet's tar files in their official structure, with three classes and real JPEGs."""

from __future__ import annotations

import io
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from typer.testing import CliRunner

from mnas.cli._commands import app
from mnas.datasets import ImageNetDataset, prepare_imagenet
from mnas.errors import SettingsError, StorageError

SYNSETS = ("n01440764", "n01443537", "n02119789")
TRUTH = (3, 1, 2, 2, 1, 3)  # ILSVRC2012_ID of validation image 1, 2, ...
PER_CLASS = 4


def jpeg(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def in_memory(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def class_images(place, count=PER_CLASS):
    return {f"{SYNSETS[place]}_{100 + number}.JPEG": jpeg(10 * place + number) for number in range(count)}


@pytest.fixture
def official(tmp_path):
    """The three files, as ILSVRC2012 has them: classes 1 to 3, and an inner node of the hierarchy."""
    rows = [(number + 1, synset, 0, PER_CLASS) for number, synset in enumerate(SYNSETS)] + [(1001, "n00001740", 3, 0)]
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O"), ("num_train_images", "O")]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(rows, dtype=kinds)[:, None]})
    kit, data = "ILSVRC2012_devkit_t12/data", "\n".join(map(str, TRUTH)).encode() + b"\n"
    return {
        "train": write_tar(
            tmp_path / "ILSVRC2012_img_train.tar",
            {f"{synset}.tar": in_memory(class_images(place)) for place, synset in enumerate(SYNSETS)},
        ),
        "val": write_tar(
            tmp_path / "ILSVRC2012_img_val.tar",
            {f"ILSVRC2012_val_{number:08}.JPEG": jpeg(50 + number) for number in range(1, 7)},
        ),
        "devkit": write_tar(
            tmp_path / "ILSVRC2012_devkit_t12.tar.gz",
            {f"{kit}/meta.mat": meta.getvalue(), f"{kit}/ILSVRC2012_validation_ground_truth.txt": data},
            "w:gz",
        ),
        "out": tmp_path / "imagenet",
    }


def prepare(files):
    return prepare_imagenet(**files, watch=lambda line: None)


def test_the_tars_become_the_folders_that_the_data_set_reads(official):
    assert prepare(official) == {"train": 12, "val": 6}
    out = official["out"]
    assert (out / "train" / SYNSETS[1] / f"{SYNSETS[1]}_102.JPEG").read_bytes() == jpeg(12)
    assert (out / "val" / SYNSETS[2] / "ILSVRC2012_val_00000001.JPEG").read_bytes() == jpeg(51)
    dataset = ImageNetDataset(path=out, resolution=8, validation=3)
    assert dataset.class_names == SYNSETS
    assert [len(dataset.split(part)) for part in ("train", "validation", "test")] == [9, 3, 6]
    assert not list(out.rglob("*.part"))


def test_a_stopped_preparation_goes_on_with_what_is_missing(official, monkeypatch):
    copied = []

    def stop(source, target, _copy=shutil.copyfileobj):
        if len(copied) == 7:
            target.write(source.read(100))
            raise KeyboardInterrupt
        copied.append(target.name)
        _copy(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(official)
    assert not official["out"].exists()
    part = official["out"].with_name("imagenet.part")
    before = {file: file.stat().st_mtime_ns for file in part.rglob("*.JPEG")}
    assert len(before) == 7
    prepare(official)
    after = {file: (official["out"] / file.relative_to(part)).stat().st_mtime_ns for file in before}
    assert after == before
    assert not list(official["out"].rglob("*.part"))


def test_a_full_disk_stops_before_and_during(official, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
        with pytest.raises(StorageError, match="make room"):
            prepare(official)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(StorageError, match=r"No space left.*the same command goes on"):
        prepare(official)
    assert not official["out"].exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-15000])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f["val"].unlink(), "there is no file .*img_val.tar"),
        (lambda f: f["train"].write_bytes(b"text"), "img_train.tar is not a whole tar file"),
        (lambda f: cut(f["train"]), "img_train.tar is not a whole tar file"),
        (lambda f: f.update(train=f["val"]), "val_00000001.JPEG', where tars called n01440764.tar"),
        (lambda f: f.update(val=f["train"]), r"n01440764.tar', where images called ILSVRC2012_val"),
        (lambda f: f.update(devkit=f["val"]), "should be ILSVRC2012_devkit_t12.tar.gz"),
        (lambda f: f["out"].mkdir(), "already there"),
        (lambda f: write_tar(f["val"], {"../ILSVRC2012_val_00000001.JPEG": b""}), "it is another file"),
        (lambda f: write_tar(f["val"], {"ILSVRC2012_val_00000007.JPEG": b""}), "devkit knows 6 images"),
        (
            lambda f: write_tar(f["train"], {"n09999999.tar": in_memory({})}),
            "n09999999, which the devkit does not know",
        ),
        (
            lambda f: write_tar(f["train"], {f"{SYNSETS[0]}.tar": in_memory(class_images(1))}),
            "n01440764.tar has the image n01443537_100.JPEG, of another class",
        ),
        (
            lambda f: write_tar(
                f["train"], {f"{s}.tar": in_memory(class_images(i, PER_CLASS - i)) for i, s in enumerate(SYNSETS)}
            ),
            r"12 images in 3 classes.*has 9 in 3 \(n01443537: 3 of 4, n02119789: 2 of 4\)",
        ),
    ],
)
def test_foreign_and_incomplete_files_are_refused_by_name(official, spoil, words):
    spoil(official)
    with pytest.raises(SettingsError, match=words):
        prepare(official)


def test_the_verb_prepares_and_says_how_many(official):
    flags = [text for key, path in official.items() for text in (f"--{key}", str(path))]
    done = CliRunner().invoke(app, ["prepare", "imagenet", *flags])
    assert done.exit_code == 0, done.output
    assert "12 training and 6 validation images" in done.output
    assert (official["out"] / "train").is_dir()
