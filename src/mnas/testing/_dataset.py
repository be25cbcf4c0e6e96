"""What every data set promises."""

from __future__ import annotations

from typing import get_args

import pytest

from mnas.datasets import Dataset, Part
from mnas.testing._splits import SplitsConformance


class DatasetConformance(SplitsConformance[Dataset]):
    """Tests for a data set: subclass it and give `make`. Every image is read, so give it a small one.

    class TestMyDataset(DatasetConformance):
        def make(self):
            return MyDataset("tests/data/flowers", resolution=32)
    """

    def test_it_says_what_it_holds(self) -> None:
        """A name, at least two classes named once, channels, resolution, and a mean and deviation per channel."""
        dataset = self.make()
        assert dataset.name
        assert len(dataset.class_names) >= 2
        assert len(set(dataset.class_names)) == len(dataset.class_names)
        assert dataset.channels in (1, 3)
        assert dataset.resolution >= 1
        assert len(dataset.mean) == len(dataset.std) == dataset.channels
        assert all(0 <= mean <= 1 for mean in dataset.mean)
        assert all(0 < std <= 1 for std in dataset.std)
        assert isinstance(dataset.mirrors, bool)

    @pytest.mark.parametrize("part", get_args(Part))
    def test_a_pass_in_order_gives_every_image_once(self, part: Part) -> None:
        """uint8 pixels (n, channels, resolution, resolution) with the labels of `labels`, in full batches."""
        dataset = self.make()
        images = dataset.split(part)
        sizes, labels = [], []
        for pixels, some in images.batches(self.batch):
            shape = (len(some), dataset.channels, dataset.resolution, dataset.resolution)
            assert tuple(pixels.shape) == shape
            assert str(pixels.dtype) == "torch.uint8"
            assert some.dtype == images.labels.dtype
            sizes.append(len(some))
            labels += some.tolist()
        assert labels == images.labels.tolist()
        assert len(labels) == len(images) > 0
        assert all(size == self.batch for size in sizes[:-1])

    @pytest.mark.parametrize("part", get_args(Part))
    def test_labels_are_indices_of_classes(self, part: Part) -> None:
        """int64 from 0 to one below the number of classes, or uint8 of 0 and 1, one per image and class.

        Training and validation images have every class.
        """
        dataset = self.make()
        labels = dataset.split(part).labels
        classes = len(dataset.class_names)
        if labels.ndim == 2:
            assert str(labels.dtype) == "torch.uint8"
            assert labels.shape[1] == classes
            assert int(labels.max()) <= 1
            found = set(labels.sum(0).nonzero()[:, 0].tolist())
        else:
            assert str(labels.dtype) == "torch.int64"
            assert labels.ndim == 1
            found = set(labels.tolist())
        assert found <= set(range(classes))
        if part != "test":
            assert found == set(range(classes))

    def test_a_batch_larger_than_the_split_is_the_whole_split(self) -> None:
        """In order and shuffled: one batch of all images."""
        images = self.make().split("validation")
        for seed in (None, 3):
            [(pixels, labels)] = images.batches(len(images) + 7, seed)
            assert len(pixels) == len(images)
            assert sorted(labels.tolist()) == sorted(images.labels.tolist())
