"""NpzDataset: images in one NumPy archive."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.datasets._array_dataset import ArrayDataset, Arrays
from mnas.errors import SettingsError

_KEYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, kw_only=True)
class NpzDataset(ArrayDataset):
    """An .npz file with x_train, y_train, x_test, y_test and, if wanted, class_names.

    Args:
        path: the file.
        mirrors: whether training may flip the images.
    """

    path: str | Path
    resolution: int = 32
    mirrors: bool = False

    @property
    def name(self) -> str:  # type: ignore[override]
        """The file's, without its ending."""
        return Path(self.path).stem

    def load(self) -> Arrays:
        """The file's arrays."""
        return read_npz(Path(self.path).expanduser())


def read_npz(path: Path, class_names: tuple[str, ...] | None = None) -> Arrays:
    """The arrays of an .npz file; the classes are named by `class_names`, by the file or by their index.

    Raises:
        SettingsError: no such file, not an .npz, or keys, types or shapes are wrong.
    """
    arrays = _read(path)
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        came = ", ".join(sorted(arrays)) or "nothing"
        raise SettingsError(f"{path} should hold {', '.join(_KEYS)}; {', '.join(missing)} missing, it holds {came}")
    y_train, y_test = (_flat(arrays[key]) for key in ("y_train", "y_test"))
    names = class_names or _class_names(path, arrays, y_train, y_test)
    return Arrays(arrays["x_train"], y_train, arrays["x_test"], y_test, names, str(path))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise SettingsError(f"there is no file {path}; an .npz file with {', '.join(_KEYS)} is expected there")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, AttributeError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise SettingsError(f"{path} is not an .npz file of plain arrays: {error}") from error


def _flat(labels: NDArray[Any]) -> NDArray[Any]:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _class_names(
    path: Path, arrays: dict[str, NDArray[Any]], y_train: NDArray[Any], y_test: NDArray[Any]
) -> tuple[str, ...]:
    if "class_names" in arrays:
        return tuple(str(name) for name in arrays["class_names"])
    if not all(np.issubdtype(labels.dtype, np.integer) and labels.size for labels in (y_train, y_test)):
        return ("0", "1")  # Arrays refuses such labels, and says why
    count = int(max(y_train.max(), y_test.max())) + 1
    if count > len(y_train):
        raise SettingsError(
            f"{path}: labels should run from 0 to the number of classes less one; the largest is {count - 1}, "
            f"for {len(y_train)} training images"
        )
    return tuple(str(index) for index in range(count))
