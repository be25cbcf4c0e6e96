"""The suite for data sets runs on our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnas.datasets import Dataset, DigitsDataset, FolderDataset, ImageNetDataset, NpzDataset
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
