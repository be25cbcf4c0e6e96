"""Default boxes: where a detector looks for objects."""

from __future__ import annotations

import math

import torch

from mnas.space import Architecture, FeatureMap, feature_maps

# The public ssdlite_mobilenet_v2_coco.config. torchvision's DefaultBoxGenerator has six boxes on every map, at least.
_SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3)  # width to height
_LOWEST = ((0.1, 1.0), (0.2, 2.0), (0.2, 0.5))  # scale, ratio


def default_boxes(architecture: Architecture) -> torch.Tensor:
    """A detector's default boxes (boxes, 4): x1, y1, x2, y2 as shares of the image, in the order of its outputs.

    Map by map, row by row, place by place. They may reach beyond the image.

    >>> detector = Architecture.parse("input_r64_c3 ir_r2_k3_s2_e6_c24 ssdlite_c64_n3_w0.25")
    >>> default_boxes(detector).shape
    torch.Size([5118, 4])
    """
    maps = feature_maps(architecture)
    return torch.cat([_of_map(found, _sizes(number)) for number, found in enumerate(maps)]).to(torch.float32)


def _sizes(number: int) -> list[tuple[float, float]]:
    """Width and height of a map's boxes: one per ratio, and a square between this map's scale and the next one's."""
    if number == 0:
        return [(scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for scale, ratio in _LOWEST]
    scale = _SCALES[number]
    between = math.sqrt(scale * _SCALES[number + 1])
    return [*((scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for ratio in _RATIOS), (between, between)]


def _of_map(found: FeatureMap, sizes: list[tuple[float, float]]) -> torch.Tensor:
    middles = (torch.arange(found.resolution, dtype=torch.float64) + 0.5) / found.resolution
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    places = torch.stack([x, y], 2).reshape(-1, 1, 2)
    halves = torch.tensor(sizes, dtype=torch.float64) / 2  # (boxes, 2)
    return torch.cat([places - halves, places + halves], 2).reshape(-1, 4)
