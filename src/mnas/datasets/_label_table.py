"""labels.csv: files and their labels, one or several each, in a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnas.datasets._class_numbers import number_labels, number_several
from mnas.datasets._listing import GROUPS, Group, Indices, Listing, Shares, listing
from mnas.datasets._source import FileSource
from mnas.errors import SettingsError, did_you_mean

TABLE = "labels.csv"
_HEADER = (
    "its first line should name the columns: file and label (one class each), or file and labels (several, separated "
    "by spaces); and, if wanted, split"
)
Row = dict[str, str]


def list_table(folder: Path, shares: Shares) -> Listing:
    """The images that a folder's labels.csv names.

    Raises:
        SettingsError: columns, files, labels or splits are not as expected.
    """
    path = folder / TABLE
    rows = _rows(path)
    files = _files(folder, path, rows)
    if "labels" in rows[0]:
        names, labels = number_several([row["labels"].split() for row in rows], str(path))
    else:
        names, labels = number_labels(_single(path, rows), str(path))
    return listing(str(path), names, FileSource(files), labels, _groups(path, rows), shares)


def _rows(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [{key: (row[key] or "").strip() for key in columns} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path} is not a table of comma-separated values in UTF-8: {error}") from error
    if "file" not in columns or ("label" in columns) == ("labels" in columns):
        raise SettingsError(f"{path} has the columns {', '.join(columns) or '(none)'}; {_HEADER}")
    if not rows:
        raise SettingsError(f"{path} names no images")
    return rows


def _files(folder: Path, path: Path, rows: Sequence[Row]) -> list[Path]:
    names = [row["file"] for row in rows]
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise SettingsError(f"{path} should name each file once; {twice} is there twice")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise SettingsError(
            f"{path} names {len(absent)} of {len(names)} files that are not there, relative to {folder}: "
            f"{', '.join(absent[:5])}"
        )
    return [folder / name for name in names]


def _single(path: Path, rows: Sequence[Row]) -> list[str]:
    labels = [row["label"] for row in rows]
    if "" in labels:
        raise SettingsError(f"{path} has no label for {rows[labels.index('')]['file']}")
    return labels


def _groups(path: Path, rows: Sequence[Row]) -> dict[Group, Indices]:
    if "split" not in rows[0]:
        return {"all": np.arange(len(rows))}
    words = np.asarray([row["split"] for row in rows])
    for word in np.unique(words):
        if word not in GROUPS:
            raise did_you_mean(f"split in {path}:", str(word), GROUPS)
    groups = np.asarray([GROUPS[word] for word in words])
    return {group: np.flatnonzero(groups == group) for group in dict.fromkeys(GROUPS.values()) if group in groups}
