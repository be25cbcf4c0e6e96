"""FolderDataset: any folder of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnas.datasets._encoded_dataset import EncodedDataset
from mnas.datasets._folders import check_folder, list_folders
from mnas.datasets._label_table import TABLE, list_table
from mnas.datasets._listing import Listing


@dataclass(frozen=True, kw_only=True)
class FolderDataset(EncodedDataset):
    """Image files in class folders, or beside a labels.csv; the layouts are in docs/datasets.md."""

    def listing(self) -> Listing:
        """The files that the class folders hold or that labels.csv names."""
        path = Path(self.path).expanduser()
        check_folder(path)
        return list_table(path, self.shares) if (path / TABLE).is_file() else list_folders(path, self.shares)
