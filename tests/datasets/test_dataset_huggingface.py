"""Tables of Hugging Face's library, made here: no network is used."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from mnas.datasets import HuggingFaceDataset, StreamedImages
from mnas.errors import SettingsError

hf = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr(hf.config, "HF_HUB_OFFLINE", True)


def encoded(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (14, 12, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


ONE, SEVERAL = hf.ClassLabel(names=["cat", "dog"]), hf.List(hf.ClassLabel(names=["red", "round"]))


def table(start, count, feature=ONE, label=lambda number: number % 2, broken=()):
    rows = range(start, start + count)
    images = [{"bytes": b"none" if row in broken else encoded(row), "path": None} for row in rows]
    features = hf.Features({"image": hf.Image(), "label": feature, "id": hf.Value("int64")})
    data = {"image": images, "label": [label(row) for row in rows], "id": list(rows)}
    return hf.Dataset.from_dict(data, features=features)


def make(path, **options):
    return HuggingFaceDataset(path=path, **{"resolution": 8, "validation": 0.25, "test": 0.25, **options})


def sizes(dataset):
    return [len(dataset.split(part)) for part in ("train", "validation", "test")]


def test_a_table_without_splits_is_split_by_shares(tmp_path):
    table(0, 40).save_to_disk(tmp_path)
    dataset = make(tmp_path)
    assert sizes(dataset) == [22, 8, 10]
    assert dataset.class_names == ("cat", "dog")
    assert dataset.name == tmp_path.name


def test_tables_named_after_splits_are_these_splits_and_unlabelled_ones_are_not_used(tmp_path):
    tables = {"train": table(0, 40), "validation": table(40, 10), "test": table(50, 6, label=lambda number: -1)}
    hf.DatasetDict({**tables, "extra": table(60, 5)}).save_to_disk(tmp_path / "one")
    assert sizes(make(tmp_path / "one")) == [30, 10, 10]
    hf.DatasetDict({**tables, "test": table(50, 6)}).save_to_disk(tmp_path / "two")
    assert sizes(make(tmp_path / "two")) == [40, 10, 6]


def test_rows_come_out_as_they_went_in_also_of_a_shuffled_table(tmp_path):
    whole = table(0, 40)
    whole.select(range(39, -1, -1)).save_to_disk(tmp_path)
    listing = make(tmp_path).listing()
    assert listing.source.open(3).read() == encoded(36)
    assert listing.labels[:4].tolist() == [1, 0, 1, 0]


def test_parquet_files_in_a_folder_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name, rows in (("train", table(0, 40)), ("test", table(40, 6))):
        (tmp_path / "data").mkdir(exist_ok=True)
        rows.to_parquet(tmp_path / "data" / f"{name}-00000.parquet")
    dataset = make(tmp_path / "data")
    assert sizes(dataset) == [30, 10, 6]
    assert dataset.class_names == ("cat", "dog")


def test_a_list_of_classes_is_several_labels(tmp_path):
    table(0, 40, SEVERAL, lambda number: [[0], [0, 1], [1], []][number % 4]).save_to_disk(tmp_path)
    dataset = make(tmp_path)
    assert dataset.class_names == ("red", "round")
    assert dataset.listing().labels[:4].tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]


def test_labels_that_are_text_are_classes(tmp_path):
    table(0, 40, hf.Value("string"), lambda number: ("owl", "hen")[number % 2]).save_to_disk(tmp_path)
    assert make(tmp_path).class_names == ("hen", "owl")


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_gives_the_same_for_any_number_of_processes_and_names_broken_rows(tmp_path, caplog, workers):
    hf.DatasetDict({"train": table(0, 40, broken={7}), "test": table(40, 10)}).save_to_disk(tmp_path)
    dataset = make(tmp_path, max_memory_gb=0, loader_workers=workers, max_broken=0.02)
    images = dataset.split("trainval")
    assert isinstance(images, StreamedImages)
    assert sum(len(labels) for _, labels in images.batches(8)) == 39
    assert [record.args[0] for record in caplog.records] == [f"{tmp_path}: train row 7"]
    alone = make(tmp_path, max_memory_gb=0, max_broken=0.02).split("trainval")
    for one, other in zip(images.batches(8, 1), alone.batches(8, 1), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": "img"}, "no column 'img'; it has image, label, id.*key image"),
        ({"label": "fine"}, "no column 'fine'.*key label"),
        ({"image": "id"}, "column id should hold images"),
    ],
)
def test_columns_that_are_wrong_are_refused_by_name(tmp_path, options, words):
    table(0, 40).save_to_disk(tmp_path)
    with pytest.raises(SettingsError, match=words):
        make(tmp_path, **options).split("train")


def test_rows_without_labels_and_tables_of_other_names_are_refused(tmp_path):
    table(0, 40, label=lambda number: -1 if number == 3 else 0).save_to_disk(tmp_path / "one")
    with pytest.raises(SettingsError, match="a label in each row"):
        make(tmp_path / "one").split("train")
    hf.DatasetDict({"a": table(0, 9), "b": table(9, 9)}).save_to_disk(tmp_path / "two")
    with pytest.raises(SettingsError, match="has the tables a, b; none is called train"):
        make(tmp_path / "two").split("train")


def test_what_cannot_be_loaded_says_why(tmp_path):
    with pytest.raises(SettingsError, match="could not be loaded with the library datasets"):
        make("nobody/nothing-of-that-name").split("train")


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(SettingsError, match=r"mnas\[hf\]"):
        make(tmp_path).split("train")
