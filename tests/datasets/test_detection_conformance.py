"""The suite for data sets with boxes runs on our own, and catches those that break its promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from boxed_files import write_coco, write_voc

from mnas.datasets import CocoDataset, DetectionDataset, VocDataset
from mnas.testing import DetectionDatasetConformance


class TestCocoFile(DetectionDatasetConformance):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.path = write_coco(tmp_path)

    def make(self) -> DetectionDataset:
        return CocoDataset(annotations=self.path, resolution=32)


class TestCocoFileInGrey(TestCocoFile):
    def make(self) -> DetectionDataset:
        return CocoDataset(annotations=self.path, resolution=32, channels=1)


class TestCocoFolder(DetectionDatasetConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path
        write_coco(tmp_path, 30, file="annotations/instances_train2017.json", pictures="train2017")
        write_coco(tmp_path, 8, seed=1, file="annotations/instances_val2017.json", pictures="val2017")

    def make(self) -> DetectionDataset:
        return CocoDataset(annotations=self.path, resolution=32)


class TestVocFolder(DetectionDatasetConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = write_voc(tmp_path, {"train": 20, "val": 8, "test": 8})

    def make(self) -> DetectionDataset:
        return VocDataset(path=self.path, resolution=32)


class Changed:
    """A data set whose splits differ in one thing."""

    def __init__(self, path: Path, **changes: Any) -> None:
        self._dataset, self._changes = CocoDataset(annotations=path, resolution=32), changes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def split(self, part: Any) -> Any:
        return ChangedImages(self._dataset.split(part), self._changes)


class ChangedImages:
    def __init__(self, images: Any, changes: dict[str, Any]) -> None:
        self._images, self._changes = images, changes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._images, name)
        return self._changes[name](found) if name in self._changes else found

    def __len__(self) -> int:
        return len(self._images)


def in_pixels(batches: Any) -> Any:
    """Boxes that are no fractions."""
    return lambda *args, **options: ((pixels, boxes * 32) for pixels, boxes in batches(*args, **options))


def shifted(batches: Any) -> Any:
    """Boxes that are those of the next image."""
    return lambda *args, **options: ((pixels, boxes.roll(1, 0)) for pixels, boxes in batches(*args, **options))


def test_a_data_set_that_breaks_a_promise_fails(tmp_path: Path) -> None:
    """Boxes in pixels, boxes of other images, ids in another order, one ground truth for all."""
    path = write_coco(tmp_path)
    truth = CocoDataset(annotations=path, resolution=32).split("test").truth()
    suite = DetectionDatasetConformance
    broken: list[tuple[dict[str, Any], Any]] = [
        ({"batches": in_pixels}, lambda made: made.test_a_pass_in_order_gives_every_image_once("test")),
        ({"batches": in_pixels}, suite.test_a_shuffled_pass_has_boxes_inside_the_image),
        ({"batches": shifted}, lambda made: made.test_a_pass_in_order_has_the_boxes_of_the_truth("test")),
        ({"image_ids": lambda ids: ids[::-1]}, lambda made: made.test_truth_is_whole_coco_ground_truth("test")),
        ({"truth": lambda _: lambda: truth}, suite.test_truth_can_be_changed),
    ]
    for changes, test in broken:
        made = suite()
        made.make = lambda changes=changes: Changed(path, **changes)  # type: ignore[method-assign,assignment,misc]
        with pytest.raises(AssertionError):
            test(made)


def test_the_suite_without_make_says_so() -> None:
    with pytest.raises(NotImplementedError, match="give make"):
        DetectionDatasetConformance().make()
