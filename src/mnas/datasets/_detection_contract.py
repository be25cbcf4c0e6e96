"""The contract of everything that gives images with boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from mnas.datasets._contract import DatasetFacts, Part

if TYPE_CHECKING:
    from torch import Tensor


class BoxedImages(Protocol):
    """Images of one split, each with any number of boxes."""

    @property
    def is_cropped(self) -> bool:
        """Whether shuffled batches come randomly cropped already."""
        ...

    @property
    def image_ids(self) -> tuple[int, ...]:
        """Of each image, in the order of an unshuffled pass: what ties detections to `truth()`."""
        ...

    def __len__(self) -> int:
        """How many images."""
        ...

    def batches(
        self, size: int, seed: int | None = None, start: int = 0, step: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: uint8 pixels (n, channels, resolution, resolution) and float32 boxes (n, most, 5).

            for pixels, boxes in images.batches(64): ...            # in order, every image once, whole
            for pixels, boxes in images.batches(24, seed=17): ...   # shuffled and cropped, for training
            boxes[0, 2].tolist()                                    # [0.25, 0.1, 0.5, 0.3, 7.0]

        A box is x1, y1, x2, y2 as fractions of the image that comes out, and its class index. `most`, at least 1,
        is that of the batch; in rows not in use the class is -1. Boxes have the order of `truth()`; those that
        training should not see (crowds, difficult ones) are not among them. `seed`, `start` and `step` are those of
        `Images.batches`.
        """
        ...

    def truth(self) -> dict[str, Any]:
        """The split as COCO ground truth, new each time: images, annotations and categories.

        Boxes are in pixels of the original image; images, annotations and categories have the file's ids.
        """
        ...


class DetectionDataset(DatasetFacts, Protocol):
    """Images with boxes, in three splits that share no image.

        cells = CocoDataset(annotations="cells/annotations.json")
        cells.class_names                             # ("white", "red"): index 0, index 1
        len(cells.split("validation"))                # 87

    `truth()["categories"]` has the order of `class_names`; images are stretched to the resolution. A data set can be
    pickled, and is small then. What "validation" holds depends on the data set's own options,
    never on a search's seed.
    """

    def split(self, part: Part) -> BoxedImages:
        """The images of one split.

        Raises:
            SettingsError: images or annotations are not there, or not as expected; the message says what to do.
        """
        ...
