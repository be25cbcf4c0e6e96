"""WebDataset shards: written by the webdataset library where it is there, read in any order by an index."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from mnas.datasets import MemoryImages, StreamedImages, WebDatasetDataset
from mnas.errors import SettingsError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """An empty cache folder for the indices."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MNAS_CACHE", str(folder))
    return folder / "shards"


def encoded(seed, ending="JPEG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (14, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, ending)
    return buffer.getvalue()


def write_shard(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def samples(start, count, label=lambda number: str(number % 2)):
    members = {}
    for number in range(start, start + count):
        members[f"{number:04}.jpg"] = encoded(number)
        members[f"{number:04}.cls"] = label(number).encode()
        members[f"{number:04}.json"] = b"{}"
    return members


def without(name):
    return {key: value for key, value in samples(0, 9).items() if key != name}


def make(path, **options):
    return WebDatasetDataset(path=path, **{"resolution": 8, "validation": 0.25, "test": 0.25, **options})


def sizes(dataset):
    return [len(dataset.split(part)) for part in ("train", "validation", "test")]


def test_shards_without_splits_are_split_by_shares(tmp_path):
    for shard in range(3):
        write_shard(tmp_path / f"{shard:03}.tar", samples(shard * 20, 20))
    dataset = make(tmp_path, classes=["cat", "dog"])
    assert sizes(dataset) == [34, 11, 15]
    assert dataset.class_names == ("cat", "dog")
    assert isinstance(dataset.split("train"), MemoryImages)


def test_shards_named_after_splits_are_these_splits(tmp_path):
    write_shard(tmp_path / "flowers-train-000.tar", samples(0, 20))
    write_shard(tmp_path / "flowers-train-001.tar", samples(20, 20))
    write_shard(tmp_path / "flowers-val-000.tar", samples(40, 8))
    assert sizes(make(tmp_path)) == [30, 10, 8]
    write_shard(tmp_path / "test" / "000.tar", samples(48, 6))
    assert sizes(make(tmp_path, split_seed=1)) == [40, 8, 6]


def test_images_and_labels_are_those_of_the_shard(tmp_path):
    write_shard(tmp_path / "000.tar", samples(0, 30, lambda number: ("cat", "dog", "cow")[number % 3]))
    listing = make(tmp_path).listing()
    assert listing.class_names == ("cat", "cow", "dog")
    assert listing.labels.tolist() == [0, 2, 1] * 10
    for index in (0, 17, 29):
        assert listing.source.open(index).read() == encoded(index)
        assert listing.source.name(index) == f"{tmp_path / '000.tar'}: {index:04}"


def test_several_labels_per_sample(tmp_path):
    write_shard(tmp_path / "000.tar", samples(0, 30, lambda number: ("0", "0 1", "1,2", "")[number % 4]))
    dataset = make(tmp_path, several_labels=True, classes=["a", "b", "c"])
    assert dataset.listing().labels[:4].tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_an_index_is_made_once_and_again_when_the_shard_changes(tmp_path, cache, monkeypatch):
    shard = tmp_path / "000.tar"
    write_shard(shard, samples(0, 30))
    labels = make(tmp_path).listing().labels
    [kept] = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", None)
        assert np.array_equal(make(tmp_path).listing().labels, labels)
    kept.write_bytes(b"broken")
    assert np.array_equal(make(tmp_path).listing().labels, labels)
    write_shard(shard, samples(0, 40))
    assert len(make(tmp_path).listing().labels) == 40


def test_the_shuffle_is_the_same_for_any_number_of_loader_processes(tmp_path):
    for shard in range(2):
        write_shard(tmp_path / f"{shard}.tar", samples(shard * 20, 20))
    none, two = (make(tmp_path, max_memory_gb=0, loader_workers=workers).split("train") for workers in (0, 2))
    assert isinstance(none, StreamedImages)
    for one, other in zip(none.batches(4, 5), two.batches(4, 5), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_images_are_named_by_shard_and_key(tmp_path, caplog, workers):
    write_shard(tmp_path / "0.tar", {**samples(0, 40), "0007.jpg": b"no image", "0011.jpg": encoded(1)[:300]})
    dataset = make(tmp_path, max_memory_gb=0, loader_workers=workers, max_broken=0.06)
    seen = sum(len(labels) for part in ("trainval", "test") for _, labels in dataset.split(part).batches(8))
    assert seen == 38
    assert sorted(r.args[0] for r in caplog.records) == [f"{tmp_path / '0.tar'}: {key}" for key in ("0007", "0011")]


@pytest.mark.parametrize(
    ("members", "options", "words"),
    [
        ({}, {}, "has no images"),
        ({**samples(0, 9), "0002.png": encoded(0)}, {}, r"more than one image for 0002"),
        (without("0004.cls"), {}, r"1 samples with no \.cls: 0004"),
        (without("0004.jpg"), {}, "1 samples with no image: 0004"),
        (samples(0, 9, lambda number: str(number)), {"classes": ["a", "b"]}, "up to 8, so 9 classes; 2 names"),
        (samples(0, 9, lambda number: "cow"), {"classes": ["a", "b"]}, "not among the 2 classes given: 'cow'"),
    ],
)
def test_shards_that_are_wrong_are_refused_with_what_is_wrong(tmp_path, members, options, words):
    write_shard(tmp_path / "0.tar", members)
    with pytest.raises(SettingsError, match=words):
        make(tmp_path, **options).split("train")


def test_what_is_no_whole_plain_tar_is_refused_by_name(tmp_path):
    shard = tmp_path / "0.tar"
    with tarfile.open(shard, "w:gz") as tar:
        tar.add(__file__, "a.jpg")
    whole = tmp_path / "whole"
    write_shard(whole / "0.tar", samples(0, 9))
    for content in (shard.read_bytes(), b"", b"text", (whole / "0.tar").read_bytes()[:5000]):
        shard.write_bytes(content)
        with pytest.raises(SettingsError, match=r"0\.tar is not a whole, uncompressed tar file"):
            make(tmp_path).split("train")


def test_folders_without_shards_and_shards_of_no_clear_split_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="it has none"):
        make(tmp_path).split("train")
    write_shard(tmp_path / "train-0.tar", samples(0, 9))
    write_shard(tmp_path / "more.tar", samples(9, 9))
    with pytest.raises(SettingsError, match=r"not so more\.tar"):
        make(tmp_path).split("train")


def test_shards_that_the_webdataset_library_writes_are_read(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.ShardWriter(f"{tmp_path}/%03d.tar", maxcount=15, verbose=0) as writer:
        for number in range(40):
            writer.write({"__key__": f"{number:04}", "jpg": encoded(number), "cls": number % 2})
    listing = make(tmp_path).listing()
    assert len(list(tmp_path.iterdir())) == 3
    assert listing.labels.tolist() == [0, 1] * 20
    assert listing.source.open(39).read() == encoded(39)
