"""The spaces of the paper: factorized hierarchical `mnasnet`, and the flat one it is compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mnas.errors import SettingsError
from mnas.space._architecture import Stem
from mnas.space._block_space import BlockChoices, BlockSpace
from mnas.space._heads import DetectionHead, Head

# MobileNetV2's skeleton (Sandler et al. 2018, Table 2): filters, layers, stride of the first layer.
FILTERS = (16, 24, 32, 64, 96, 160, 320)
LAYERS = (1, 2, 3, 4, 3, 3, 1)
STRIDES = (1, 2, 2, 2, 1, 2, 1)


def mnasnet_space(
    width: float = 1.0,
    resolution: int = 224,
    strides: Sequence[int] = STRIDES,
    stem_stride: int = 2,
    head_filters: int = 1280,
    classes: int = 1000,
    input_channels: int = 3,
    detector: bool = False,
) -> BlockSpace:
    """The paper's factorized hierarchical space: 432 options for each of seven blocks.

    Per block (Tan et al. 2019, section 4.1): conv, sepconv, MBConv3 or MBConv6; kernel 3 or 5; SE 0 or
    0.25; no skip, identity or pooling; 0.75, 1 or 1.25 times MobileNetV2's filters; one layer less, as
    many, or one more, but never fewer than one. MnasNet-A1 and -B1 are members.

    Small images want fewer strides: a smaller `stem_stride` and ones in `strides`. With `detector` the networks find
    objects: the blocks are the backbone of SSDLite, and `classes` are those of the objects.
    """
    blocks = (
        BlockChoices(filters, layers, stride)
        for filters, layers, stride in zip(FILTERS, LAYERS, _seven(strides), strict=True)
    )
    stem = Stem(stride=stem_stride)
    head = DetectionHead(head_filters, classes, width) if detector else Head(head_filters, classes)
    return BlockSpace("mnasnet", tuple(blocks), width, stem, head, resolution, input_channels)


def mnasnet_layerwise_space(
    width: float = 1.0,
    resolution: int = 224,
    strides: Sequence[int] = STRIDES,
    stem_stride: int = 2,
    head_filters: int = 1280,
    classes: int = 1000,
    input_channels: int = 3,
) -> BlockSpace:
    """The flat space: op, kernel, SE, skip and filters chosen for every layer by itself.

    The skeleton is that of `mnasnet`, and every member of `mnasnet` is a member here: of each block, the
    last layer and one more may be left out, so that it has one layer less, as many, or one more.
    """
    blocks = []
    for filters, layers, stride in zip(FILTERS, LAYERS, _seven(strides), strict=True):
        sure = max(1, layers - 1)
        may_be_left_out = layers + 1 - sure
        first = BlockChoices(filters, 1, stride, layer_deltas=(0,))
        later = dataclasses.replace(first, stride=1)
        blocks += [first] + [later] * (sure - 1)
        blocks += [dataclasses.replace(later, layer_deltas=(-1, 0), min_layers=0)] * may_be_left_out
    stem, head = Stem(stride=stem_stride), Head(head_filters, classes)
    return BlockSpace("mnasnet-layerwise", tuple(blocks), width, stem, head, resolution, input_channels)


def _seven(strides: Sequence[int]) -> Sequence[int]:
    if len(strides) != len(STRIDES) or any(stride < 1 for stride in strides):
        raise SettingsError(f"strides should be seven numbers from 1, one per block; got {list(strides)}")
    return strides
