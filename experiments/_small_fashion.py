"""What the experiments that train train on: few small images of Fashion-MNIST, and the paper's spaces cut to them.

Chosen so that an epoch takes a second of one core. Most of a step is the calling of some thirty small convolutions,
whatever they do; so what counts are layers and steps, and the spaces have five blocks, as in the paper's example of
their sizes (Tan et al. 2019, section 4.1), with one to three layers.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

from mnas.datasets import Arrays, NpzDataset, stratified_split
from mnas.space import BlockChoices, BlockSpace, Head, Stem

TRAIN, VALIDATION, RESOLUTION = 2_048, 3_000, 16
# Like MobileNetV2's first five blocks, with fewer layers and earlier strides; 432 options per block.
FILTERS, LAYERS, STRIDES = (16, 24, 32, 64, 96), (1, 2, 2, 3, 2), (2, 1, 2, 1, 1)
WIDTH, STEM, HEAD_FILTERS = 0.5, Stem(stride=2), 128
HOW_TO_GET = """\
There is no file {path}.
Fashion-MNIST (Xiao et al. 2017, MIT licence) is not part of mnas. Give --data an .npz file with x_train
(60000, 28, 28), y_train, x_test (10000, 28, 28) and y_test, all uint8. torchvision.datasets.FashionMNIST(FOLDER,
download=True) brings the images; `data` and `targets`, with train=True and train=False, are these four arrays."""


def factorized_space(classes: int = 10) -> BlockSpace:
    """The factorized hierarchical space: one set of choices per block, as in `mnasnet_space`."""
    blocks = map(BlockChoices, FILTERS, LAYERS, STRIDES)
    return _space("mnasnet-5", tuple(blocks), classes)


def layerwise_space(classes: int = 10) -> BlockSpace:
    """The flat space of the same skeleton: a set of choices per layer, as in `mnasnet_layerwise_space`.

    Of each block, the last layer and one more may be left out; every member of `factorized_space` is one here.
    """
    blocks = []
    for filters, layers, stride in zip(FILTERS, LAYERS, STRIDES, strict=True):
        sure = max(1, layers - 1)
        first = BlockChoices(filters, 1, stride, layer_deltas=(0,))
        later = dataclasses.replace(first, stride=1)
        blocks += [first] + [later] * (sure - 1)
        blocks += [dataclasses.replace(later, layer_deltas=(-1, 0), min_layers=0)] * (layers + 1 - sure)
    return _space("mnasnet-5-layerwise", tuple(blocks), classes)


def _space(name: str, blocks: tuple[BlockChoices, ...], classes: int) -> BlockSpace:
    return BlockSpace(name, blocks, WIDTH, STEM, Head(HEAD_FILTERS, classes), RESOLUTION, input_channels=1)


@dataclass(frozen=True, kw_only=True)
class FewImages(NpzDataset):
    """`images` of an .npz file's training images to train on, and `validation` others; the same ones each time."""

    resolution: int = RESOLUTION
    mirrors: bool = True
    images: int = TRAIN
    validation: float = VALIDATION

    @property
    def name(self) -> str:  # type: ignore[override]
        """With the number of images, which accuracies depend on."""
        return f"{self.images} images of {Path(self.path).stem}"

    def load(self) -> Arrays:
        """The chosen images, of each class its share."""
        arrays = super().load()
        wanted = self.images + int(self.validation)
        _, chosen = stratified_split(arrays.y_train, wanted, seed=0, class_names=arrays.class_names)
        return dataclasses.replace(arrays, x_train=arrays.x_train[chosen], y_train=arrays.y_train[chosen])


def dataset(path: Path | None, images: int, validation: int) -> FewImages:
    """The data set; where the file is missing, the end of the script, with what to do."""
    if path is None:
        sys.exit("--data should name Fashion-MNIST's .npz file; --plot needs none")
    if not path.is_file():
        sys.exit(HOW_TO_GET.format(path=path))
    return FewImages(path=path, images=images, validation=validation)
