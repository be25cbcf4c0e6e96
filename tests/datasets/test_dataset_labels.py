"""labels.csv: one label or several per image; splits that keep every class; counts of classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mnas.datasets import DigitsDataset, FolderDataset, class_counts, stratified_split
from mnas.errors import SettingsError


def write_table(folder, rows, header="file,labels"):
    generator = np.random.default_rng(0)
    for name in {row.split(",")[0] for row in rows}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(folder / name)
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def make(folder, **options):
    return FolderDataset(path=folder, **{"resolution": 8, "validation": 0.25, "test": 0.25, **options})


SEVERAL = [
    f"photos/{i}.png,{' '.join(['red', 'round', 'small'][: 1 + i % 3][:: 1 if i % 2 else -1])}" for i in range(60)
]


@pytest.mark.parametrize("max_memory_gb", [0, 1])
def test_a_table_gives_several_labels_per_image(tmp_path, max_memory_gb):
    write_table(tmp_path, [*SEVERAL, *(f"photos/none{i}.png," for i in range(4))])
    dataset = make(tmp_path, max_memory_gb=max_memory_gb)
    assert dataset.class_names == ("red", "round", "small")
    listing = dataset.listing()
    assert listing.labels[:3].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert listing.labels[-1].tolist() == [0, 0, 0]
    for part in ("train", "validation", "trainval", "test"):
        images = dataset.split(part)
        assert images.labels.dtype == torch.uint8
        assert torch.equal(torch.cat([labels for _, labels in images.batches(5)]), images.labels)
        assert class_counts(images, 3).min() >= 1


def test_a_table_gives_one_label_per_image_and_splits(tmp_path):
    sizes = (("train", 6), ("valid", 3), ("test", 2))
    rows = [f"{part}{i}.png,class {i % 2},{part}" for part, count in sizes for i in range(count)]
    write_table(tmp_path, rows, header="file,label,split")
    dataset = make(tmp_path)
    assert dataset.class_names == ("class 0", "class 1")
    assert [len(dataset.split(part)) for part in ("train", "validation", "test")] == [6, 3, 2]
    assert dataset.split("validation").labels.tolist() == [0, 1, 0]


def test_labels_that_are_numbers_are_sorted_by_value(tmp_path):
    write_table(tmp_path, [f"{i}.png,{(2, 10, 9)[i % 3]}" for i in range(30)], header="file,label")
    dataset = make(tmp_path)
    assert dataset.class_names == ("2", "9", "10")
    assert dataset.listing().labels[:3].tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("file,class", ["a.png,red"], "columns file, class; its first line should name the columns"),
        ("file,label,labels", ["a.png,red,red"], "its first line should name"),
        ("file,labels", [], "names no images"),
        ("file,labels", ["a.png,red", "a.png,blue"], "a.png is there twice"),
        ("file,label", ["a.png,red", "b.png,"], "no label for b.png"),
        ("file,label,split", ["a.png,red,trian"], "unknown split.*'trian': did you mean 'train'"),
        ("file,labels", ["a.png,red"] * 1, "at least two classes are needed, got red"),
        ("file,labels", [f"{i}.png,red{' blue' * (i < 2)}" for i in range(9)], "at least 3 images.*blue has 2"),
        ("file,label,split", ["a.png,x,train", "b.png,y,train"], "training and for test or validation.*has train"),
        (
            "file,label,split",
            ["a.png,x,train", "b.png,y,train", "c.png,x,val", "d.png,x,test"],
            "validation: each class should have.*y has none",
        ),
    ],
)
def test_tables_that_are_wrong_are_refused_with_what_is_wrong(tmp_path, header, rows, words):
    write_table(tmp_path, rows, header)
    with pytest.raises(SettingsError, match=words):
        make(tmp_path).split("train")


def test_files_that_a_table_names_and_that_are_not_there_are_named(tmp_path):
    write_table(tmp_path, SEVERAL)
    (tmp_path / "photos" / "7.png").unlink()
    with pytest.raises(SettingsError, match=r"1 of 60 files that are not there.*photos/7\.png"):
        make(tmp_path).split("train")


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00file")
    with pytest.raises(SettingsError, match="not a table"):
        make(tmp_path).split("train")


@st.composite
def several(draw):
    """Labels of 60 to 200 images in which every class occurs ten times or more."""
    images, classes = draw(st.integers(60, 200)), draw(st.integers(2, 8))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = (generator.random((images, classes)) < generator.uniform(0.02, 0.7, classes)).astype(np.uint8)
    for index in range(classes):
        labels[generator.choice(images, 10, replace=False), index] = 1
    return labels


@settings(max_examples=60, deadline=None)
@given(labels=several(), share=st.floats(0.1, 0.9), seed=st.integers(0, 9))
def test_a_split_of_several_labels_is_exact_in_size_and_near_in_every_class(labels, share, seed):
    stay, held = stratified_split(labels, share, seed)
    assert sorted([*stay, *held]) == list(range(len(labels)))
    assert len(held) == round(share * len(labels))
    for half, part in ((held, share), (stay, 1 - share)):
        assert labels[half].sum(0).min() >= 1
        assert np.abs(labels[half].sum(0) - part * labels.sum(0)).max() <= 8
    assert np.array_equal(held, stratified_split(labels, share, seed)[1])


def test_another_seed_holds_out_other_images_of_several_labels():
    labels = (np.random.default_rng(0).random((200, 5)) < 0.3).astype(np.uint8)
    assert not np.array_equal(stratified_split(labels, 0.2, 0)[1], stratified_split(labels, 0.2, 1)[1])


@pytest.mark.parametrize("seed", range(10))
def test_a_class_of_two_images_is_in_both_halves_whatever_else_they_show(seed):
    generator = np.random.default_rng(seed)
    labels = (generator.random((100, 6)) < 0.4).astype(np.uint8)
    labels[:, 4:] = 0
    labels[[3, 50], 4] = 1
    labels[[3, 70], 5] = 1
    for half in stratified_split(labels, 0.1, seed):
        assert labels[half, 4:].sum(0).tolist() == [1, 1]


def test_a_class_that_cannot_be_in_both_halves_is_named():
    """Three classes of two images each, of three images: two of them always lie in one half."""
    labels = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1], *[[0, 0, 0]] * 7], dtype=np.uint8)
    with pytest.raises(SettingsError, match=r"class '(red|green|blue)', with 2 images, is in one only"):
        stratified_split(labels, 0.3, 0, ("red", "green", "blue"))


@pytest.mark.parametrize("held_out", [0, 100, 0.999])
def test_a_share_that_leaves_nothing_of_several_labels_is_refused(held_out):
    labels = (np.random.default_rng(0).random((100, 3)) < 0.5).astype(np.uint8)
    with pytest.raises(SettingsError, match="cannot be held out"):
        stratified_split(labels, held_out, 0)


def test_class_counts_are_the_number_of_images_of_each_class():
    images = DigitsDataset(resolution=8).split("test")
    counts = class_counts(images, 10)
    assert counts.tolist() == [int((images.labels == label).sum()) for label in range(10)]
    assert class_counts(images, 12).tolist()[10:] == [0, 0]
