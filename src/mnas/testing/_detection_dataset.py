"""What every data set of images with boxes promises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest

from mnas.datasets import DetectionDataset, Part
from mnas.testing._splits import SplitsConformance

if TYPE_CHECKING:
    from torch import Tensor


class DetectionDatasetConformance(SplitsConformance[DetectionDataset]):
    """Tests for a data set with boxes: subclass it and give `make`. Every image is read, so give it a small one.

    class TestMyDataset(DetectionDatasetConformance):
        def make(self):
            return MyDataset("tests/data/cells", resolution=64)
    """

    def test_it_says_what_it_holds(self) -> None:
        """A name, classes named once, channels, resolution, and a mean and deviation per channel."""
        dataset = self.make()
        assert dataset.name
        assert len(dataset.class_names) >= 1
        assert len(set(dataset.class_names)) == len(dataset.class_names)
        assert dataset.channels in (1, 3)
        assert dataset.resolution >= 1
        assert len(dataset.mean) == len(dataset.std) == dataset.channels
        assert all(0 <= mean <= 1 for mean in dataset.mean)
        assert all(0 < std <= 1 for std in dataset.std)
        assert isinstance(dataset.mirrors, bool)

    @pytest.mark.parametrize("part", get_args(Part))
    def test_a_pass_in_order_gives_every_image_once(self, part: Part) -> None:
        """uint8 pixels (n, channels, resolution, resolution) and float32 boxes (n, most, 5), in full batches."""
        dataset = self.make()
        images = dataset.split(part)
        sizes = []
        for pixels, boxes in images.batches(self.batch):
            shape = (len(boxes), dataset.channels, dataset.resolution, dataset.resolution)
            assert tuple(pixels.shape) == shape
            assert str(pixels.dtype) == "torch.uint8"
            _check_boxes(boxes, len(dataset.class_names))
            sizes.append(len(boxes))
        assert sum(sizes) == len(images) == len(images.image_ids) > 0
        assert all(size == self.batch for size in sizes[:-1])

    @pytest.mark.parametrize("part", get_args(Part))
    def test_a_pass_in_order_has_the_boxes_of_the_truth(self, part: Part) -> None:
        """The boxes of each image, brought to its pixels, are those of `truth()` that are no crowds, in order."""
        dataset = self.make()
        images, truth = dataset.split(part), dataset.split(part).truth()
        indices = {category["id"]: index for index, category in enumerate(truth["categories"])}
        sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
        expected: dict[int, list[list[float]]] = {number: [] for number in images.image_ids}
        for item in truth["annotations"]:
            if not item["iscrowd"]:
                x, y, width, height = item["bbox"]
                box = [x, y, x + width, y + height, indices[item["category_id"]]]
                expected[item["image_id"]].append(box)
        rows = [row for _, boxes in images.batches(self.batch) for row in boxes]
        for number, row in zip(images.image_ids, rows, strict=True):
            found = [_pixels(box, *sizes[number]) for box in row.tolist() if box[4] >= 0]
            assert len(found) == len(expected[number])
            for one, other in zip(found, expected[number], strict=True):
                assert one == pytest.approx(other, abs=1)  # pixel: boxes are clipped to the image

    def test_a_shuffled_pass_has_boxes_inside_the_image(self) -> None:
        """Also after crops; where training has boxes, some are left."""
        dataset = self.make()
        images = dataset.split("train")
        batches = [boxes for seed in range(3) for _, boxes in images.batches(self.batch, seed)]
        for boxes in batches:
            _check_boxes(boxes, len(dataset.class_names))
        assert any((boxes[..., 4] >= 0).any() for boxes in batches)

    def test_a_batch_larger_than_the_split_is_the_whole_split(self) -> None:
        """In order and shuffled: one batch of all images."""
        images = self.make().split("validation")
        for seed in (None, 3):
            [(pixels, boxes)] = images.batches(len(images) + 7, seed)
            assert len(pixels) == len(boxes) == len(images)

    @pytest.mark.parametrize("part", get_args(Part))
    def test_truth_is_whole_coco_ground_truth(self, part: Part) -> None:
        """Plain values; images in order, annotations with ids of their own above 0, categories as classes."""
        dataset = self.make()
        images = dataset.split(part)
        truth = json.loads(json.dumps(images.truth()))
        assert [image["id"] for image in truth["images"]] == list(images.image_ids)
        assert len(set(images.image_ids)) == len(images)
        assert tuple(category["name"] for category in truth["categories"]) == dataset.class_names
        assert len({category["id"] for category in truth["categories"]}) == len(dataset.class_names)
        ids = [item["id"] for item in truth["annotations"]]
        assert len(set(ids)) == len(ids) > 0
        assert 0 not in ids  # the evaluation's libraries take it for no annotation
        assert {item["image_id"] for item in truth["annotations"]} <= set(images.image_ids)
        assert all(item["area"] >= 0 and item["iscrowd"] in (0, 1) for item in truth["annotations"])

    def test_truth_can_be_changed(self) -> None:
        """Evaluations write into what they are given: the next one gets it as it was."""
        images = self.make().split("test")
        before = json.dumps(images.truth())
        truth = images.truth()
        truth["annotations"][0]["bbox"][0] = -1
        truth["images"].clear()
        assert json.dumps(images.truth()) == before


def _check_boxes(boxes: Tensor, classes: int) -> None:
    """At least one row per image; boxes lie inside it and have an area; rows not in use have class -1."""
    assert str(boxes.dtype) == "torch.float32"
    assert boxes.ndim == 3
    assert boxes.shape[1] >= 1
    assert boxes.shape[2] == 5
    used = boxes[boxes[..., 4] >= 0]
    assert (boxes[boxes[..., 4] < 0][:, 4] == -1).all()
    assert ((used[:, :4] >= 0) & (used[:, :4] <= 1)).all()
    assert (used[:, :2] < used[:, 2:4]).all()
    assert (used[:, 4] == used[:, 4].long()).all()
    assert (used[:, 4] < classes).all()


def _pixels(box: list[float], width: int, height: int) -> list[Any]:
    x1, y1, x2, y2, index = box
    return [x1 * width, y1 * height, x2 * width, y2 * height, index]
