"""Small data sets through torchvision, which knows where they are, downloads them and checks them."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnas._cache import cache_folder
from mnas._torchvision import import_torchvision
from mnas.datasets._array_dataset import Arrays
from mnas.errors import SettingsError


def load_vision(name: Literal["FashionMNIST", "CIFAR10", "CIFAR100"], path: str | Path | None) -> Arrays:
    """A data set of torchvision's from a folder, or downloaded into the cache where no folder is given.

    Raises:
        SettingsError: torchvision is missing, the folder has no such data set, or the download failed.
    """
    import_torchvision()
    factory = getattr(importlib.import_module("torchvision.datasets"), name)
    train, test = (_read(factory, name, path, is_train) for is_train in (True, False))
    names = tuple(str(label) for label in train.classes)
    return Arrays(_pixels(train), _labels(train), _pixels(test), _labels(test), names, name)


def _read(factory: Any, name: str, path: str | Path | None, is_train: bool) -> Any:
    folder = Path(path).expanduser() if path is not None else cache_folder()
    if path is not None and not folder.is_dir():
        raise SettingsError(f"there is no folder {path}; {name} in torchvision's layout is expected there")
    try:
        # torchvision reports a download on standard output, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            return factory(root=str(folder), train=is_train, download=path is None)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        if path is not None:
            raise SettingsError(f"{folder} does not hold {name} in torchvision's layout: {error}") from error
        raise SettingsError(
            f"{name} could not be downloaded into {folder}: {error}. Fetch it where the network allows and name "
            "its folder with the data set's key path"
        ) from error


def _pixels(dataset: Any) -> NDArray[Any]:
    return np.asarray(dataset.data)


def _labels(dataset: Any) -> NDArray[Any]:
    return np.asarray(dataset.targets)
