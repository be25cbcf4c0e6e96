"""The contract of everything that gives labelled images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

# "trainval" is train and validation together: what is trained on once the search is over.
Part = Literal["train", "validation", "trainval", "test"]


class Images(Protocol):
    """Labelled images of one split, in memory or streamed from files."""

    @property
    def labels(self) -> Tensor:
        """One class index per image, int64 (n,); or several classes per image, uint8 (n, classes) of 0 and 1."""
        ...

    @property
    def is_cropped(self) -> bool:
        """Whether shuffled batches come randomly cropped already, so that a training shifts nothing itself."""
        ...

    def __len__(self) -> int:
        """How many images."""
        ...

    def batches(
        self, size: int, seed: int | None = None, start: int = 0, step: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the images: uint8 pixels (n, channels, height, width) and their rows of `labels`.

            for pixels, labels in images.batches(256): ...           # in order, every image once
            for pixels, labels in images.batches(64, seed=17): ...   # shuffled; the same order for the same seed
            images.batches(64, seed=17, start=1, step=2)             # of these only the second, the fourth, ...

        A shuffled pass is for training: it leaves out a last batch that is not full, unless it is the only one.
        `start` and `step` choose batches as `itertools.islice` does, for several processes and for trainings that
        go on in the middle of a pass; nothing else is decoded.
        """
        ...


class DatasetFacts(Protocol):
    """What a data set tells of its images, whatever goes with them: labels or boxes."""

    @property
    def name(self) -> str:
        """What accuracies, or scores, are said to be of."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class index."""
        ...

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        ...

    @property
    def resolution(self) -> int:
        """Height and width of every image as it comes out."""
        ...

    @property
    def mean(self) -> tuple[float, ...]:
        """What is subtracted per channel, on the scale from 0 to 1."""
        ...

    @property
    def std(self) -> tuple[float, ...]:
        """What it is then divided by."""
        ...

    @property
    def mirrors(self) -> bool:
        """Whether an image's mirror image means the same, so that training may flip it."""
        ...


class Dataset(DatasetFacts, Protocol):
    """Labelled images in three splits that share no image.

        digits = DigitsDataset(resolution=16)
        len(digits.class_names), digits.channels      # 10, 1
        digits.split("validation").labels.shape       # (360,)

    A data set can be pickled, and is small then: each process loads the images when it first asks for them
    and keeps them. What "validation" holds depends on the data set's own options, never on a search's seed.
    """

    def split(self, part: Part) -> Images:
        """The images of one split.

        Raises:
            SettingsError: the images are not there, or not as expected; the message says what to do.
        """
        ...
