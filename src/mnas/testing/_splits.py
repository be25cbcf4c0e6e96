"""What every data set promises of its splits, whatever is told of the images."""

from __future__ import annotations

import hashlib
import math
import pickle
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

import pytest

from mnas.datasets import Dataset, DetectionDataset, Part
from mnas.testing._state import unchanged_global_state

if TYPE_CHECKING:
    from torch import Tensor

_PICKLE_BYTES = 20_000  # a data set travels to other processes, its images do not


DatasetT = TypeVar("DatasetT", Dataset, DetectionDataset)


class SplitsConformance(Generic[DatasetT]):
    """Tests that the suites of all kinds of data sets share."""

    batch = 16
    duplicates = 0  # images that the data themselves hold in two splits

    def make(self) -> DatasetT:
        """A new data set, equal each time."""
        raise NotImplementedError("give make(self), which returns the data set to test")

    def test_a_shuffled_pass_follows_its_seed(self) -> None:
        """The same seed gives the same batches, another others; a last batch that is not full is left out."""
        images = self.make().split("train")
        size = min(self.batch, max(1, len(images) // 2))
        once, again, other = (self._batches(images.batches(size, seed)) for seed in (17, 17, 18))
        assert once == again
        assert once != other
        assert len(once) == len(images) // size

    @pytest.mark.parametrize("seed", [None, 17])
    def test_batches_of_a_pass_can_be_chosen(self, seed: int | None) -> None:
        """`start` and `step` give the batches that `itertools.islice` would: from the middle on, or every third."""
        images = self.make().split("train")
        size = max(1, len(images) // 5)
        everything = self._batches(images.batches(size, seed))
        for start, step in ((2, 1), (0, 2), (1, 3), (len(everything), 1)):
            chosen = self._batches(images.batches(size, seed, start=start, step=step))
            assert chosen == everything[start::step]

    def test_splits_share_no_image(self) -> None:
        """Train, validation and test are disjoint by their pixels; trainval is train and validation."""
        counts = {part: self._image_counts(part) for part in get_args(Part)}
        shared = (
            (counts["train"] & counts["validation"])
            + (counts["train"] & counts["test"])
            + (counts["validation"] & counts["test"])
        )
        assert shared.total() <= self.duplicates
        assert counts["trainval"] == counts["train"] + counts["validation"]

    def test_splits_are_the_same_each_time(self) -> None:
        """A second data set made alike, and one that was pickled, hold the same images in the same order."""
        dataset = self.make()
        copies = [self.make(), pickle.loads(pickle.dumps(dataset))]
        for part in get_args(Part):
            batches = self._batches(dataset.split(part).batches(self.batch))
            for copy in copies:
                assert self._batches(copy.split(part).batches(self.batch)) == batches

    def test_it_is_small_when_pickled(self) -> None:
        """Before and after its images are loaded: the other process loads its own."""
        dataset = self.make()
        assert len(pickle.dumps(dataset)) < _PICKLE_BYTES
        dataset.split("train")
        assert len(pickle.dumps(dataset)) < _PICKLE_BYTES

    def test_global_state_is_left_alone(self) -> None:
        """Passes, shuffled ones too, draw from no global generator."""
        dataset = self.make()
        images = dataset.split("train")
        next(iter(images.batches(self.batch)))  # the first pass may load libraries
        with unchanged_global_state():
            list(images.batches(self.batch))
            list(images.batches(self.batch, seed=1))

    def test_pixels_are_not_constant(self) -> None:
        """Images hold more than one value, and their mean is near the mean that the data set tells."""
        dataset = self.make()
        pixels = next(iter(dataset.split("train").batches(len(dataset.split("train")))))[0].double() / 255
        assert float(pixels.std()) > 0
        for channel, (mean, std) in enumerate(zip(dataset.mean, dataset.std, strict=True)):
            # Data sets may tell the statistics of others (ImageNet's): within two deviations is near enough.
            assert math.isclose(float(pixels[:, channel].mean()), mean, abs_tol=2 * std)

    def _image_counts(self, part: Part) -> Counter[str]:
        """How often each image occurs in a split, by a digest of its pixels."""
        batches = self.make().split(part).batches(self.batch)
        return Counter(digest for digests, _ in self._batches(batches) for digest in digests)

    @staticmethod
    def _batches(batches: Iterator[tuple[Tensor, Tensor]]) -> list[tuple[list[str], list[Any]]]:
        """Batches as what can be compared: digests of the images, and labels."""
        return [
            (
                [
                    hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=16).hexdigest()
                    for image in pixels
                ],
                labels.tolist(),
            )
            for pixels, labels in batches
        ]
