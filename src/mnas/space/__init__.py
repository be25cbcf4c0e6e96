"""What may be chosen, and what a set of choices means.

This floor imports the standard library alone: architectures can be read, printed, counted and compared on
a machine without torch.
"""

from mnas.space._accel_nasbench import accel_nasbench_row, accel_nasbench_space, accel_nasbench_tokens
from mnas.space._architecture import Activation, Architecture, Block, Layer, Op, Padding, Skip, Stem
from mnas.space._block_space import BlockChoices, BlockSpace, described_space
from mnas.space._counts import Count, count_by_block, count_madds, count_params, count_rows, weight_bytes
from mnas.space._feature_maps import FeatureMap, box_count, feature_maps, tapped_layer
from mnas.space._heads import DetectionHead, Head
from mnas.space._memory import peak_activation_bytes
from mnas.space._mnasnet import mnasnet_layerwise_space, mnasnet_space
from mnas.space._nearest import nearest_member
from mnas.space._rounding import round_choice, round_filters
from mnas.space._space import Choice, SearchSpace, Tokens

__all__ = [
    "Activation",
    "Architecture",
    "Block",
    "BlockChoices",
    "BlockSpace",
    "Choice",
    "Count",
    "DetectionHead",
    "FeatureMap",
    "Head",
    "Layer",
    "Op",
    "Padding",
    "SearchSpace",
    "Skip",
    "Stem",
    "Tokens",
    "accel_nasbench_row",
    "accel_nasbench_space",
    "accel_nasbench_tokens",
    "box_count",
    "count_by_block",
    "count_madds",
    "count_params",
    "count_rows",
    "described_space",
    "feature_maps",
    "mnasnet_layerwise_space",
    "mnasnet_space",
    "nearest_member",
    "peak_activation_bytes",
    "round_choice",
    "round_filters",
    "tapped_layer",
    "weight_bytes",
]
