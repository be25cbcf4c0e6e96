"""ImageNetDataset: ImageNet's folders, split as in the paper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnas.datasets._encoded_dataset import EncodedDataset
from mnas.datasets._folders import check_folder, list_groups
from mnas.datasets._listing import Listing


@dataclass(frozen=True, kw_only=True)
class ImageNetDataset(EncodedDataset):
    """ImageNet (Russakovsky et al. 2015): a folder with train/ and val/, each with one folder per class.

    As in the paper (Tan et al. 2019, section 5), 50,000 of the training images are held out for the search;
    they are the same ones each time. ImageNet's own validation images are the test split.
    """

    validation: float = 50_000

    @property
    def name(self) -> str:
        """ImageNet, whatever the folder is called."""
        return "imagenet"

    def listing(self) -> Listing:
        """train/ and val/, as ImageNet has them."""
        path = Path(self.path).expanduser()
        check_folder(path)
        return list_groups(path, {"train": path / "train", "test": path / "val"}, self.shares)
