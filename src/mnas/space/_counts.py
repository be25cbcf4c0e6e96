"""Exact counts of a network that need not be built.

Conventions (those of the paper's tables): MAdds are the multiply-adds of convolutions and fully connected
layers for one input, squeeze-and-excitation included, batch norm, activations, biases, pooling and
additions left out. Parameters are the trainable ones, batch norm's scale and shift included.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mnas.space._architecture import Architecture, Layer
from mnas.space._feature_maps import FeatureMap, feature_maps
from mnas.space._heads import DetectionHead
from mnas.space._strided import strided


@dataclass(frozen=True)
class Count:
    """What one row of a network costs, and the square resolution it gives out."""

    name: str
    resolution: int
    params: int
    madds: int
    weight_count: int  # numbers stored for inference: batch norm folded into the convolution before it


@dataclass(frozen=True)
class _Conv:
    """One convolution with batch norm: kernel weights, output channels, output pixels."""

    weights: int
    filters: int
    pixels: int

    @property
    def madds(self) -> int:
        return self.weights * self.pixels


def count_rows(architecture: Architecture) -> Iterator[Count]:
    """One `Count` for the stem, each layer and the head, in order; a detector's head has one for each map."""
    stem, head = architecture.stem, architecture.head
    resolution = strided(architecture.resolution, stem.stride)
    weights = stem.kernel**2 * architecture.input_channels * stem.filters
    yield _row("stem", resolution, [_Conv(weights, stem.filters, resolution**2)])
    filters = stem.filters
    for index, block in enumerate(architecture.blocks, start=1):
        for layer in block.expanded(filters):
            out = strided(resolution, layer.stride)
            yield _row(f"block{index}", out, _convs(layer, resolution, out), _se_params(layer), _se_madds(layer))
            filters, resolution = layer.filters, out
    convs = [_Conv(filters * head.filters, head.filters, resolution**2)] if head.filters else []
    if isinstance(head, DetectionHead):
        yield from _detection_rows(architecture, head, convs)
        return
    fc = architecture.features * head.classes
    yield _row("head", 1, convs, fc + head.classes, fc)


def _detection_rows(architecture: Architecture, head: DetectionHead, own: list[_Conv]) -> Iterator[Count]:
    """Each map's predictors, and before them the layers that make the map."""
    maps = feature_maps(architecture)
    makes = [[], own, *(_extra(before, after) for before, after in itertools.pairwise(maps[1:]))]
    for made_by, found in zip(makes, maps, strict=True):
        pixels = found.resolution**2
        convs = [_Conv(9 * found.filters, found.filters, pixels)] * 2  # 3x3 depthwise, for boxes and for classes
        outputs = found.boxes * head.values
        weights = found.filters * outputs
        yield _row("head", found.resolution, [*made_by, *convs], weights + outputs, weights * pixels)


def _extra(before: FeatureMap, after: FeatureMap) -> list[_Conv]:
    half = after.filters // 2
    pixels = after.resolution**2
    return [
        _Conv(before.filters * half, half, before.resolution**2),
        _Conv(9 * half, half, pixels),
        _Conv(half * after.filters, after.filters, pixels),
    ]


def count_by_block(architecture: Architecture) -> Iterator[tuple[str, str, list[Count]]]:
    """For the stem, each block and the head, in order: its label, its string and the counts of its layers."""
    rows = list(count_rows(architecture))
    blocks = {f"block{number}": block for number, block in enumerate(architecture.blocks, start=1)}
    for name, part in {"stem": architecture.stem, **blocks, "head": architecture.head}.items():
        yield name.removeprefix("block"), str(part), [row for row in rows if row.name == name]


def count_params(architecture: Architecture) -> int:
    """Trainable parameters."""
    return sum(row.params for row in count_rows(architecture))


def count_madds(architecture: Architecture) -> int:
    """Multiply-adds of one forward pass of one image (1 MAdd = 2 FLOPs)."""
    return sum(row.madds for row in count_rows(architecture))


def weight_bytes(architecture: Architecture) -> int:
    """Bytes of the float32 weights as exported: batch norm folded into the convolutions."""
    return 4 * sum(row.weight_count for row in count_rows(architecture))


def _row(name: str, resolution: int, convs: list[_Conv], extra_params: int = 0, extra_madds: int = 0) -> Count:
    weights = sum(conv.weights for conv in convs)
    filters = sum(conv.filters for conv in convs)
    return Count(
        name=name,
        resolution=resolution,
        params=weights + 2 * filters + extra_params,  # batch norm: scale and shift
        madds=sum(conv.madds for conv in convs) + extra_madds,
        weight_count=weights + filters + extra_params,  # folded: a bias
    )


def _convs(layer: Layer, resolution: int, out: int) -> list[_Conv]:
    if layer.op == "conv":
        return [_Conv(layer.kernel**2 * layer.in_filters * layer.filters, layer.filters, out**2)]
    hidden = layer.hidden_filters
    depthwise = _Conv(layer.kernel**2 * hidden, hidden, out**2)
    project = _Conv(hidden * layer.filters, layer.filters, out**2)
    if layer.op == "mbconv":
        return [_Conv(layer.in_filters * hidden, hidden, resolution**2), depthwise, project]
    return [depthwise, project]


def _se_params(layer: Layer) -> int:
    squeeze, hidden = layer.se_filters, layer.hidden_filters
    return 2 * squeeze * hidden + squeeze + hidden if squeeze else 0


def _se_madds(layer: Layer) -> int:
    return 2 * layer.se_filters * layer.hidden_filters
