"""Names -> images with labels or boxes, in a training, a search-validation and a test split.

The search trains on "train" and compares on "validation", which is always held out of images meant for
training. "test" is for the comparison at the end and nothing else. What needs torch is loaded when named.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.datasets._contract import Dataset, DatasetFacts, Images, Part
from mnas.datasets._detection_contract import BoxedImages, DetectionDataset
from mnas.datasets._faults import Fault, FaultKind
from mnas.datasets._split import stratified_split

if TYPE_CHECKING:
    from mnas.datasets._annotated import Annotated
    from mnas.datasets._annotation_check import AnnotationCheck, FoundBox, FoundImage
    from mnas.datasets._array_dataset import ArrayDataset, Arrays
    from mnas.datasets._boxed_dataset import BoxedDataset
    from mnas.datasets._boxed_images import StreamedBoxedImages
    from mnas.datasets._cifar import CIFAR10Dataset, CIFAR100Dataset
    from mnas.datasets._class_counts import class_counts
    from mnas.datasets._coco import CocoDataset
    from mnas.datasets._digits import DigitsDataset
    from mnas.datasets._encoded_dataset import EncodedDataset
    from mnas.datasets._fashion_mnist import FashionMNISTDataset
    from mnas.datasets._folder import FolderDataset
    from mnas.datasets._huggingface import HuggingFaceDataset
    from mnas.datasets._imagenet import ImageNetDataset
    from mnas.datasets._memory_images import MemoryImages
    from mnas.datasets._npz import NpzDataset
    from mnas.datasets._prepare_imagenet import prepare_imagenet
    from mnas.datasets._streamed_images import StreamedImages
    from mnas.datasets._voc import VocDataset
    from mnas.datasets._webdataset import WebDatasetDataset

__all__ = [
    "Annotated",
    "AnnotationCheck",
    "ArrayDataset",
    "Arrays",
    "BoxedDataset",
    "BoxedImages",
    "CIFAR10Dataset",
    "CIFAR100Dataset",
    "CocoDataset",
    "Dataset",
    "DatasetFacts",
    "DetectionDataset",
    "DigitsDataset",
    "EncodedDataset",
    "FashionMNISTDataset",
    "Fault",
    "FaultKind",
    "FolderDataset",
    "FoundBox",
    "FoundImage",
    "HuggingFaceDataset",
    "ImageNetDataset",
    "Images",
    "MemoryImages",
    "NpzDataset",
    "Part",
    "StreamedBoxedImages",
    "StreamedImages",
    "VocDataset",
    "WebDatasetDataset",
    "class_counts",
    "prepare_imagenet",
    "stratified_split",
]

_HEAVY = {
    "Annotated": "_annotated",
    "AnnotationCheck": "_annotation_check",
    "ArrayDataset": "_array_dataset",
    "Arrays": "_array_dataset",
    "BoxedDataset": "_boxed_dataset",
    "CIFAR100Dataset": "_cifar",
    "CIFAR10Dataset": "_cifar",
    "CocoDataset": "_coco",
    "DigitsDataset": "_digits",
    "EncodedDataset": "_encoded_dataset",
    "FashionMNISTDataset": "_fashion_mnist",
    "FolderDataset": "_folder",
    "FoundBox": "_annotation_check",
    "FoundImage": "_annotation_check",
    "HuggingFaceDataset": "_huggingface",
    "ImageNetDataset": "_imagenet",
    "MemoryImages": "_memory_images",
    "NpzDataset": "_npz",
    "StreamedBoxedImages": "_boxed_images",
    "StreamedImages": "_streamed_images",
    "VocDataset": "_voc",
    "WebDatasetDataset": "_webdataset",
    "class_counts": "_class_counts",
    "prepare_imagenet": "_prepare_imagenet",
}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(importlib.import_module(f"mnas.datasets.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
