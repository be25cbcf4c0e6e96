"""FashionMNISTDataset: 70,000 grey images of clothes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnas.datasets._array_dataset import ArrayDataset, Arrays
from mnas.datasets._npz import read_npz
from mnas.datasets._vision import load_vision

_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FashionMNISTDataset(ArrayDataset):
    """Fashion-MNIST (Xiao et al. 2017): 60,000 training and 10,000 test images of 28x28 pixels.

    Args:
        path: a folder in torchvision's layout, or an .npz file; without it, torchvision downloads.
    """

    name = "fashion-mnist"
    mirrors = True

    path: str | Path | None = None
    resolution: int = 32

    def load(self) -> Arrays:
        """The images, read or downloaded."""
        if self.path is not None and Path(self.path).suffix == ".npz":
            return read_npz(Path(self.path).expanduser(), _NAMES)
        return load_vision("FashionMNIST", self.path)
