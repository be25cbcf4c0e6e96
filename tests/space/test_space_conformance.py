from __future__ import annotations

from mnas.space import BlockChoices, BlockSpace, Head, SearchSpace, Stem, mnasnet_layerwise_space, mnasnet_space
from mnas.testing import SpaceConformance


class TestMnasnet(SpaceConformance):
    samples = 15

    def make(self) -> SearchSpace:
        return mnasnet_space()


class TestMnasnetForSmallImages(SpaceConformance):
    samples = 5

    def make(self) -> SearchSpace:
        return mnasnet_space(0.35, 32, (1, 1, 2, 2, 1, 2, 1), stem_stride=1, head_filters=256, classes=10)


class TestMnasnetLayerwise(SpaceConformance):
    samples = 10

    def make(self) -> SearchSpace:
        return mnasnet_layerwise_space()


class TestOwnSpace(SpaceConformance):
    def make(self) -> SearchSpace:
        row = BlockChoices(16, 1, 1, ("conv", "mbconv4.5"), (3,), (0, 0.25), ("none", "pool"), (1,), (0,))
        left_out = BlockChoices(16, 1, 1, ("conv",), (3,), (0,), ("none", "pool"), (1, 2), (-1, 0), min_layers=0)
        return BlockSpace("own", (row, left_out, left_out), 0.5, Stem(filters=16), Head(32, 4), 16, 1)
