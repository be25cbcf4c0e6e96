"""The suite for data sets runs on our own."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnas.datasets import (
    Dataset,
    DigitsDataset,
    FolderDataset,
    HuggingFaceDataset,
    ImageNetDataset,
    NpzDataset,
    WebDatasetDataset,
)
from mnas.testing import DatasetConformance

CLASSES = ("daisy", "rose", "tulip")


class TestDigits(DatasetConformance):
    def make(self) -> Dataset:
        return DigitsDataset(resolution=8)


class TestNpz(DatasetConformance):
    @pytest.fixture(autouse=True)
    def archive(self, tmp_path: Path) -> None:
        generator = np.random.default_rng(0)
        self.path = tmp_path / "noise.npz"
        np.savez(
            self.path,
            x_train=generator.integers(0, 256, (90, 12, 12, 3), dtype=np.uint8),
            y_train=np.arange(90) % 3,
            x_test=generator.integers(0, 256, (30, 12, 12, 3), dtype=np.uint8),
            y_test=np.arange(30) % 3,
        )

    def make(self) -> Dataset:
        return NpzDataset(path=self.path, resolution=12)


def write_images(folder: Path, per_class: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for index in range(per_class):
            pixels = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


class TestFolderInMemory(DatasetConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "flowers"
        write_images(self.path, 20, seed=0)

    def make(self) -> Dataset:
        return FolderDataset(path=self.path, resolution=16, validation=0.25)


class TestFolderStreamed(TestFolderInMemory):
    def make(self) -> Dataset:
        return FolderDataset(path=self.path, resolution=16, validation=0.25, max_memory_gb=0)


class TestFolderOfSeveralLabels(DatasetConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path
        write_images(tmp_path, 20, seed=0)
        labels = {"daisy": "white yellow", "rose": "red", "tulip": "red yellow"}
        rows = [f"{name}/{index}.png,{labels[name]}" for name in CLASSES for index in range(20)]
        (tmp_path / "labels.csv").write_text("\n".join(["file,labels", *rows]))

    def make(self) -> Dataset:
        return FolderDataset(path=self.path, resolution=16, validation=0.25)


class TestFolderOfSeveralLabelsStreamed(TestFolderOfSeveralLabels):
    def make(self) -> Dataset:
        return FolderDataset(path=self.path, resolution=16, validation=0.25, max_memory_gb=0)


class TestImageNetFolders(DatasetConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "ILSVRC"
        write_images(self.path / "train", 20, seed=0)
        write_images(self.path / "val", 5, seed=1)

    def make(self) -> Dataset:
        return ImageNetDataset(path=self.path, resolution=16, validation=12)


class TestWebDataset(DatasetConformance):
    @pytest.fixture(autouse=True)
    def shards(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MNAS_CACHE", str(tmp_path / "cache"))
        self.path = tmp_path / "shards"
        write_images(tmp_path / "flowers", 20, seed=0)
        self.path.mkdir()
        for shard in range(2):
            with tarfile.open(self.path / f"{shard}.tar", "w") as tar:
                for number, file in enumerate(sorted((tmp_path / "flowers").glob("*/*.png"))[shard::2]):
                    tar.add(file, f"{number:03}.png")
                    label = tmp_path / "label.cls"
                    label.write_text(file.parent.name)
                    tar.add(label, f"{number:03}.cls")

    def make(self) -> Dataset:
        return WebDatasetDataset(path=self.path, resolution=16, validation=0.25)


class TestWebDatasetStreamed(TestWebDataset):
    def make(self) -> Dataset:
        return WebDatasetDataset(path=self.path, resolution=16, validation=0.25, max_memory_gb=0)


class TestHuggingFaceStreamed(DatasetConformance):
    @pytest.fixture(autouse=True)
    def table(self, tmp_path: Path) -> None:
        hf = pytest.importorskip("datasets")
        self.path = tmp_path / "table"
        write_images(tmp_path / "flowers", 20, seed=0)
        files = sorted((tmp_path / "flowers").glob("*/*.png"))
        data = {"image": [str(file) for file in files], "label": [file.parent.name for file in files]}
        hf.Dataset.from_dict(data).cast_column("image", hf.Image()).save_to_disk(self.path)

    def make(self) -> Dataset:
        return HuggingFaceDataset(path=self.path, resolution=16, validation=0.25, max_memory_gb=0)
