"""Image files as people have them: odd modes come out as pixels, broken ones are named, also by loader processes."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

from mnas.datasets import FolderDataset
from mnas.errors import SettingsError, TrainingError

LEFT, RIGHT = (200, 30, 30), (30, 30, 200)


def two_halves(size=(32, 32)):
    """Red on the left, blue on the right."""
    pixels = np.empty((size[1], size[0], 3), dtype=np.uint8)
    pixels[:, : size[0] // 2], pixels[:, size[0] // 2 :] = LEFT, RIGHT
    return Image.fromarray(pixels)


def save_odd(kind, path):
    image = two_halves()
    if kind == "cmyk":
        image.convert("CMYK").save(path.with_suffix(".jpg"), quality=95, subsampling=0)
    elif kind == "rgba":
        image.convert("RGBA").save(path.with_suffix(".png"))
    elif kind == "palette":
        image.convert("P").save(path.with_suffix(".png"))
    elif kind == "animation":
        image.save(path.with_suffix(".gif"), save_all=True, append_images=[Image.new("RGB", (32, 32))])
    elif kind == "rotated":  # stored lying on its side, with the EXIF tag that says so
        exif = Image.Exif()
        exif[0x0112] = 6
        image.rotate(90, expand=True).save(path.with_suffix(".jpg"), exif=exif, quality=95, subsampling=0)


def fill(folder, count=10):
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for index in range(count):
            two_halves().save(folder / name / f"{index}.png")


def make(folder, **options):
    return FolderDataset(path=folder, **{"resolution": 16, "validation": 0.25, "test": 0.25, **options})


@pytest.mark.parametrize("max_memory_gb", [0, 1])
@pytest.mark.parametrize("kind", ["cmyk", "rgba", "palette", "animation", "rotated"])
def test_odd_images_come_out_upright_in_colour(tmp_path, kind, max_memory_gb):
    fill(tmp_path)
    for file in (tmp_path / "cat").iterdir():
        file.unlink()
        save_odd(kind, file)
    for part in ("trainval", "test"):
        images = make(tmp_path, max_memory_gb=max_memory_gb).split(part)
        pixels = torch.cat([pixels for pixels, _ in images.batches(8)]).float()
        assert len(pixels) == len(images)
        for columns, colour in ((slice(0, 7), LEFT), (slice(9, 16), RIGHT)):
            found = pixels[..., columns].mean((2, 3))
            assert torch.allclose(found, torch.tensor(colour).float(), atol=25), kind


def read_all(dataset):
    return sum(len(labels) for part in ("trainval", "test") for _, labels in dataset.split(part).batches(6))


def spoil(folder):
    """A truncated JPEG, a text file, an empty one and one of zeros, as images."""
    two_halves((200, 200)).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:700])
    (folder / "text.jpg").write_text("no image")
    (folder / "empty.png").touch()
    (folder / "zeros.png").write_bytes(bytes(500))
    return {str(folder / name) for name in ("cut.jpg", "text.jpg", "empty.png", "zeros.png")}


@pytest.mark.parametrize(("max_memory_gb", "workers"), [(1, 0), (0, 0), (0, 2)])
def test_broken_images_are_named_and_left_out_also_by_loader_processes(tmp_path, caplog, max_memory_gb, workers):
    fill(tmp_path)
    broken = spoil(tmp_path / "cat")
    options = {"max_memory_gb": max_memory_gb, "loader_workers": workers}
    dataset = make(tmp_path, max_broken=0.2, **options)
    assert read_all(dataset) == 20
    assert {record.args[0] for record in caplog.records} == broken
    with pytest.raises(SettingsError, match=r"4 of the 24 images.*max_broken = 0\.125"):
        read_all(make(tmp_path, max_broken=0.125, **options))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_takes_full_batches_whatever_is_broken(tmp_path, workers):
    fill(tmp_path)
    spoil(tmp_path / "cat")
    images = make(tmp_path, max_memory_gb=0, loader_workers=workers, max_broken=1).split("trainval")
    batches = list(images.batches(9, seed=1))
    assert [len(pixels) for pixels, _ in batches] == [len(labels) for _, labels in batches] == [9, 9]


def test_a_training_batch_of_broken_images_alone_is_refused(tmp_path):
    fill(tmp_path)
    spoil(tmp_path / "cat")
    images = make(tmp_path, max_memory_gb=0, max_broken=1).split("trainval")
    with pytest.raises(SettingsError, match="a whole batch of images"):
        list(images.batches(1, seed=1))


def test_a_loader_process_that_dies_fails_the_training_alone(tmp_path, monkeypatch):
    fill(tmp_path)
    images = make(tmp_path, max_memory_gb=0, loader_workers=1).split("train")
    monkeypatch.setattr(Image, "open", lambda path: os._exit(1))
    with pytest.raises(TrainingError, match="a process that loads images died"):
        list(images.batches(4, seed=1))


@pytest.mark.parametrize("count", [1, 2])
def test_a_class_of_too_few_images_is_named(tmp_path, count):
    fill(tmp_path)
    (tmp_path / "cow").mkdir()
    for index in range(count):
        two_halves().save(tmp_path / "cow" / f"{index}.png")
    with pytest.raises(SettingsError, match=f"at least 3 images.*cow has {count}"):
        make(tmp_path).split("train")
