"""The maps of a detector that boxes are predicted on."""

from __future__ import annotations

from dataclasses import dataclass

from mnas.space._architecture import Architecture
from mnas.space._heads import DetectionHead
from mnas.space._strided import strided

# The public configuration has three on the map of the highest resolution (reduce_boxes_in_lowest_layer).
_BOXES, _BOXES_ON_LOWEST = 6, 3


@dataclass(frozen=True)
class FeatureMap:
    """One map, square."""

    filters: int
    resolution: int
    boxes: int  # default boxes at each place


def tapped_layer(architecture: Architecture) -> int:
    """The index of the layer with the first map: the last one with a stride, stride 32 in the published networks.

    The map is what its expansion gives, at stride 16; where it has none, its input. The paper does not tell where
    it taps its networks; this is where the public code taps MobileNetV2.
    """
    return max(index for index, layer in enumerate(architecture.layers) if layer.stride > 1)


def feature_maps(architecture: Architecture) -> tuple[FeatureMap, ...]:
    """From the finest to the coarsest: the tapped layer's, the head's 1x1 convolution's or last layer's, the extras'.

    >>> detector = Architecture.parse("input_r320_c3 ds_k3_s2_c16 ir_k3_s2_e6_c24 ssdlite_c64_n3_w0.25")
    >>> [(found.filters, found.resolution) for found in feature_maps(detector)]
    [(96, 80), (64, 40), (128, 20), (64, 10), (64, 5), (32, 3)]
    """
    head = architecture.head
    assert isinstance(head, DetectionHead)
    resolution = strided(architecture.resolution, architecture.stem.stride)
    resolutions = [resolution := strided(resolution, layer.stride) for layer in architecture.layers]
    tap = tapped_layer(architecture)
    layer = architecture.layers[tap]
    before = resolutions[tap - 1] if tap else strided(architecture.resolution, architecture.stem.stride)
    filters = layer.hidden_filters if layer.op == "mbconv" else layer.in_filters
    maps = [FeatureMap(filters, before, _BOXES_ON_LOWEST), FeatureMap(architecture.features, resolution, _BOXES)]
    for extra in head.extra_filters:
        maps.append(FeatureMap(extra, strided(maps[-1].resolution, 2), _BOXES))
    return tuple(maps)


def box_count(architecture: Architecture) -> int:
    """Default boxes of a detector, of all maps together."""
    return sum(found.boxes * found.resolution**2 for found in feature_maps(architecture))
