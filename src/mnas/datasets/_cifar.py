"""CIFAR10Dataset and CIFAR100Dataset: 60,000 small colour photographs, in 10 or 100 classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnas.datasets._array_dataset import ArrayDataset, Arrays
from mnas.datasets._vision import load_vision


@dataclass(frozen=True, kw_only=True)
class CIFAR10Dataset(ArrayDataset):
    """CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images of 32x32 pixels.

    Args:
        path: the folder that holds cifar-10-batches-py; without it, torchvision downloads.
    """

    name = "cifar10"
    mirrors = True

    path: str | Path | None = None
    resolution: int = 32

    def load(self) -> Arrays:
        """The images, read or downloaded."""
        return load_vision("CIFAR10", self.path)


@dataclass(frozen=True, kw_only=True)
class CIFAR100Dataset(ArrayDataset):
    """CIFAR-100 (Krizhevsky 2009): as CIFAR-10, in 100 classes.

    Args:
        path: the folder that holds cifar-100-python; without it, torchvision downloads.
    """

    name = "cifar100"
    mirrors = True

    path: str | Path | None = None
    resolution: int = 32

    def load(self) -> Arrays:
        """The images, read or downloaded."""
        return load_vision("CIFAR100", self.path)
