"""HuggingFaceDataset: images in the tables of Hugging Face's library `datasets`."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from mnas.datasets._class_numbers import number_labels, number_several
from mnas.datasets._encoded_dataset import EncodedDataset
from mnas.datasets._listing import GROUPS, Group, Indices, Listing, listing
from mnas.errors import SettingsError, needs_extra


@dataclass(frozen=True, kw_only=True)
class HuggingFaceDataset(EncodedDataset):
    """A data set of the Hugging Face Hub by its name, or a folder that `save_to_disk` or parquet files made.

    Its tables lie on disk and are mapped into memory. Tables called train, validation (or val, valid) and test are
    these splits, with the rules for image folders; others, and those whose labels are all -1, are not used.

    Args:
        path: the folder, or the name on the Hub (`user/name`).
        config: the configuration, where the data set has several.
        revision: the Hub's version (commit, tag or branch).
        image: the column with the images.
        label: the column with the class, or with a list of classes for several labels per image.
    """

    config: str | None = None
    revision: str | None = None
    image: str = "image"
    label: str = "label"

    @property
    def name(self) -> str:
        """As on the Hub, or the folder's."""
        folder = Path(self.path).expanduser()
        return folder.resolve().name if folder.is_dir() else str(self.path)

    def listing(self) -> Listing:
        """The rows of all tables."""
        tables = self._tables(_library())
        labels = {split: _values(table, self.label) for split, table in tables.items()}
        used = {split: table for split, table in tables.items() if any(label != -1 for label in labels[split])}
        rows = [label for split in used for label in labels[split]]
        if not used or any(label is None or label == -1 for label in rows):
            raise SettingsError(f"{self.path}: column {self.label} should have a label in each row; some have none")
        is_several = isinstance(rows[0], list)
        written = [[str(label) for label in row] if is_several else str(row) for row in rows]
        place, names = str(self.path), _class_names(next(iter(used.values())), self.label)
        number: Any = number_several if is_several else number_labels
        class_names, numbers = number(written, place, names)
        source = _Rows(place, self.image, used)
        return listing(place, class_names, source, numbers, _groups(used), self.shares)

    def _tables(self, library: Any) -> Mapping[str, Any]:
        """The tables that are splits, of these two columns, with their images as they are encoded."""
        found = self._load(library)
        known = {split: table for split, table in found.items() if split in GROUPS}
        tables = known or (found if len(found) == 1 else {})
        if not tables:
            raise SettingsError(f"{self.path} has the tables {', '.join(found)}; none is called {', '.join(GROUPS)}")
        return {split: self._columns(library, table) for split, table in tables.items()}

    def _load(self, library: Any) -> Mapping[str, Any]:
        folder = Path(self.path).expanduser()
        try:
            if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
                found = library.load_from_disk(str(folder))
            else:
                name = str(folder) if folder.exists() else str(self.path)
                found = library.load_dataset(name, self.config, revision=self.revision)
        # The library raises its own, the file system's and the network's exceptions.
        except Exception as error:
            raise SettingsError(
                f"{self.path} could not be loaded with the library datasets: {type(error).__name__}: {error}"
            ) from error
        return dict(found) if isinstance(found, dict) else {"all": found}

    def _columns(self, library: Any, table: Any) -> Any:
        for key in ("image", "label"):
            if getattr(self, key) not in table.column_names:
                raise SettingsError(
                    f"{self.path} has no column {getattr(self, key)!r}; it has {', '.join(table.column_names)}: name "
                    f"the right one with the key {key}"
                )
        if not isinstance(table.features[self.image], library.Image):
            raise SettingsError(
                f"{self.path}: column {self.image} should hold images, not {table.features[self.image]}"
            )
        chosen = table.select_columns([self.image, self.label])
        return chosen.cast_column(self.image, library.Image(decode=False))


class _Rows:
    """The encoded images of some tables, one after the other."""

    def __init__(self, place: str, image: str, tables: Mapping[str, Any]) -> None:
        self._place, self._image = place, image
        self._splits, self._tables = list(tables), list(tables.values())
        self._ends = np.cumsum([len(table) for table in self._tables])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def open(self, index: int) -> Path | IO[bytes]:
        """The bytes that the table holds, or the file that it names."""
        table, row = self._row(index)
        image = self._tables[table][row][self._image]
        if image is None:
            raise ValueError("no image in this row")
        return io.BytesIO(image["bytes"]) if image["bytes"] is not None else Path(image["path"])

    def name(self, index: int) -> str:
        """The table and the row."""
        table, row = self._row(index)
        return f"{self._place}: {self._splits[table]} row {row}"

    def _row(self, index: int) -> tuple[int, int]:
        table = int(np.searchsorted(self._ends, index, side="right"))
        return table, index - int(self._ends[table]) + len(self._tables[table])


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise needs_extra("datasets", "hf") from error


def _values(table: Any, column: str) -> list[Any]:
    values: list[Any] = table.select_columns(column).with_format("arrow")[:].column(column).to_pylist()
    return values


def _class_names(table: Any, column: str) -> tuple[str, ...] | None:
    """As the table's own types tell them, for one class or a list of classes."""
    feature = table.features[column]
    names = getattr(getattr(feature, "feature", feature), "names", None)
    return tuple(names) if names is not None else None


def _groups(tables: Mapping[str, Any]) -> dict[Group, Indices]:
    ends = np.cumsum([len(table) for table in tables.values()])
    parts: list[Indices] = np.split(np.arange(ends[-1] if len(ends) else 0), ends[:-1])
    if len(tables) == 1:
        return {"all": parts[0]}  # also where it is called train, as a table without splits usually is
    return {GROUPS[split]: rows for split, rows in zip(tables, parts, strict=True)}
