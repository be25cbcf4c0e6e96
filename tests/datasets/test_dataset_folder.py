"""Image folders: their layouts, what is wrong with some of them, broken files, memory and streaming."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mnas.datasets import FolderDataset, ImageNetDataset, MemoryImages, StreamedImages
from mnas.errors import SettingsError

PARTS = ("train", "validation", "trainval", "test")


def write(folder, classes=("cat", "dog"), count=20, size=(12, 10), ending="png", seed=0):
    generator = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:03}.{ending}")


def sizes(dataset):
    return tuple(len(dataset.split(part)) for part in PARTS)


def make(path, **options):
    return FolderDataset(path=path, **{"resolution": 8, "validation": 0.25, **options})


def test_class_folders_alone_are_split_with_the_same_share_of_every_class(tmp_path):
    write(tmp_path, count=20)
    dataset = make(tmp_path, test=0.2)
    assert sizes(dataset) == (24, 8, 32, 8)
    assert dataset.class_names == ("cat", "dog")
    assert [int((dataset.split("test").labels == label).sum()) for label in (0, 1)] == [4, 4]
    assert dataset.name == tmp_path.name


def test_with_train_and_test_folders_validation_is_held_out_of_train(tmp_path):
    write(tmp_path / "train", count=12)
    write(tmp_path / "test", count=5)
    assert sizes(make(tmp_path)) == (18, 6, 24, 10)


def test_without_a_test_folder_val_is_the_test_split(tmp_path):
    write(tmp_path / "train", count=12)
    write(tmp_path / "val", count=5)
    assert sizes(make(tmp_path)) == (18, 6, 24, 10)


def test_all_three_folders_are_taken_as_they_are(tmp_path):
    for name, count in (("train", 12), ("validation", 3), ("test", 5)):
        write(tmp_path / name, count=count)
    assert sizes(make(tmp_path)) == (24, 6, 30, 10)


def test_imagenet_holds_its_validation_images_out_of_train_and_tests_on_val(tmp_path):
    write(tmp_path / "train", count=12)
    write(tmp_path / "val", count=5)
    dataset = ImageNetDataset(path=tmp_path, resolution=8, validation=4)
    assert sizes(dataset) == (20, 4, 24, 10)
    assert dataset.name == "imagenet"
    assert dataset.mean == (0.485, 0.456, 0.406)


def test_imagenet_without_its_folders_is_refused(tmp_path):
    write(tmp_path / "train")
    with pytest.raises(SettingsError, match=r"val is not there"):
        ImageNetDataset(path=tmp_path, validation=4).split("train")


def test_a_missing_folder_is_named_with_the_layout_that_is_expected(tmp_path):
    with pytest.raises(SettingsError, match=r"absent is not there; expected are class folders"):
        _ = make(tmp_path / "absent").class_names


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is not a folder"):
        make(tmp_path / "file").split("train")


def test_zero_classes_are_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "lone.png")
    with pytest.raises(SettingsError, match="no class folders, so there are zero classes"):
        make(tmp_path).split("train")


def test_one_class_is_refused_by_name(tmp_path):
    write(tmp_path, classes=("cat",))
    with pytest.raises(SettingsError, match="one class folder, cat/; at least two"):
        make(tmp_path).split("train")


def test_an_empty_class_is_refused_by_name(tmp_path):
    write(tmp_path)
    (tmp_path / "cow").mkdir()
    (tmp_path / "cow" / "readme.txt").touch()
    with pytest.raises(SettingsError, match="without images: cow"):
        make(tmp_path).split("train")


def test_classes_that_differ_between_splits_are_refused_by_name(tmp_path):
    write(tmp_path / "train", classes=("cat", "dog", "cow"))
    write(tmp_path / "test", classes=("cat", "dog", "hen"))
    with pytest.raises(SettingsError, match=r"train: cow; only in .*test: hen"):
        make(tmp_path).split("train")


def test_train_without_anything_to_test_on_is_refused(tmp_path):
    write(tmp_path / "train")
    with pytest.raises(SettingsError, match="neither test/ nor val/"):
        make(tmp_path).split("train")


@pytest.mark.parametrize(
    "option",
    [
        {"channels": 2},
        {"resolution": 0},
        {"test": 0},
        {"max_broken": 2},
        {"max_memory_gb": -1},
        {"loader_workers": -1},
    ],
)
def test_options_out_of_range_are_refused_by_name(tmp_path, option):
    with pytest.raises(SettingsError, match=next(iter(option))):
        make(tmp_path, **option)


@pytest.mark.parametrize("max_memory_gb", [0, 1])
def test_broken_images_below_the_limit_are_left_out_and_named(tmp_path, caplog, max_memory_gb):
    write(tmp_path, count=20)
    broken = [tmp_path / "cat" / "000.png", tmp_path / "dog" / "001.png"]
    broken[0].write_bytes(b"")
    broken[1].write_bytes(broken[1].read_bytes()[:60])
    dataset = make(tmp_path, max_broken=0.05, max_memory_gb=max_memory_gb)
    with caplog.at_level(logging.WARNING):
        seen = sum(len(labels) for part in ("trainval", "test") for _, labels in dataset.split(part).batches(8))
    assert seen == 38
    assert sorted(record.args[0] for record in caplog.records) == [str(path) for path in broken]


@pytest.mark.parametrize("max_memory_gb", [0, 1])
def test_more_broken_images_than_the_limit_are_refused_by_name(tmp_path, max_memory_gb):
    write(tmp_path, count=20)
    broken = tmp_path / "cat" / "000.png"
    broken.write_text("not an image")
    dataset = make(tmp_path, max_memory_gb=max_memory_gb)

    def read_all():
        return [list(dataset.split(part).batches(8)) for part in ("trainval", "test")]

    with pytest.raises(SettingsError, match=r"1 of the 40 images.*max_broken = 0.01(.|\n)*000\.png"):
        read_all()


def test_what_fits_in_memory_is_decoded_and_the_rest_is_streamed(tmp_path):
    write(tmp_path, count=20)
    size_gb = 40 * 3 * 8 * 8 / 1e9
    assert isinstance(make(tmp_path, max_memory_gb=1.01 * size_gb).split("train"), MemoryImages)
    assert isinstance(make(tmp_path, max_memory_gb=0.99 * size_gb).split("train"), StreamedImages)


def test_memory_holds_the_central_square_resized(tmp_path):
    write(tmp_path, count=8, size=(16, 24))
    pixels = make(tmp_path, resolution=16).split("test").pixels
    listing = make(tmp_path, resolution=16).listing()
    expected = np.asarray(Image.open(listing.source.open(listing.test[0])))[:, 4:20]
    assert torch.equal(pixels[0], torch.from_numpy(expected.copy()).permute(2, 0, 1))


def test_grey_and_colour_files_come_out_with_the_channels_asked_for(tmp_path):
    write(tmp_path, count=10)
    for file in (tmp_path / "cat").iterdir():
        Image.open(file).convert("L").save(file)
    assert make(tmp_path).split("train").pixels.shape[1] == 3
    grey = make(tmp_path, channels=1)
    assert grey.split("train").pixels.shape[1] == grey.channels == len(grey.mean) == 1


def test_grey_of_sixteen_bits_keeps_its_upper_eight(tmp_path):
    for name, value in (("dark", 0x2000), ("bright", 0xE0FF)):
        (tmp_path / name).mkdir()
        for index in range(4):
            Image.fromarray(np.full((8, 8), value, dtype=np.uint16)).save(tmp_path / name / f"{index}.png")
    images = make(tmp_path, channels=1, test=0.25).split("trainval")
    assert {(int(label), int(image.unique())) for image, label in zip(images.pixels, images.labels, strict=True)} == {
        (0, 0xE0),
        (1, 0x20),
    }


def test_a_streamed_training_pass_crops_at_random_by_seed_and_image(tmp_path):
    """The same for any number of loader processes."""
    write(tmp_path, count=12, size=(30, 40), ending="jpg")
    one = make(tmp_path, max_memory_gb=0).split("train")
    two = make(tmp_path, max_memory_gb=0, loader_workers=2).split("train")
    assert one.is_cropped
    first, again, by_others, other = (
        torch.cat([pixels for pixels, _ in images.batches(4, seed)])
        for images, seed in ((one, 1), (one, 1), (two, 1), (one, 2))
    )
    assert torch.equal(first, again)
    assert torch.equal(first, by_others)
    assert not torch.equal(first, other)


def test_the_split_does_not_depend_on_where_the_folder_lies(tmp_path):
    write(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    here, there = (make(tmp_path / name).split("validation").pixels for name in ("here", "there"))
    assert torch.equal(here, there)


@pytest.mark.parametrize("seed", [None, 3])
def test_a_streamed_pass_decodes_only_the_batches_that_are_asked_for(tmp_path, monkeypatch, seed):
    write(tmp_path, count=20)
    images = make(tmp_path, max_memory_gb=0).split("train")
    opened = []
    monkeypatch.setattr(Image, "open", lambda path, _open=Image.open: opened.append(path) or _open(path))
    assert len(list(images.batches(4, seed, start=1, step=3))) == 2
    assert len(opened) == 8


@pytest.mark.parametrize("wrong", [{"size": 0}, {"start": -1}, {"step": 0}])
@pytest.mark.parametrize("max_memory_gb", [0, 1])
def test_batches_that_cannot_be_are_refused(tmp_path, wrong, max_memory_gb):
    write(tmp_path, count=20)
    images = make(tmp_path, max_memory_gb=max_memory_gb).split("train")
    with pytest.raises(SettingsError, match=rf"{next(iter(wrong))} = {next(iter(wrong.values()))}"):
        list(images.batches(**{"size": 4, **wrong}))
