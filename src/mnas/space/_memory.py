"""How much memory the activations of a network need, exactly and without building it."""

from __future__ import annotations

from collections.abc import Iterator

from mnas.space._architecture import Architecture, Layer
from mnas.space._feature_maps import FeatureMap, feature_maps, tapped_layer
from mnas.space._heads import DetectionHead
from mnas.space._strided import strided


def peak_activation_bytes(architecture: Architecture, value_bytes: int = 4) -> int:
    """The largest sum of tensors that are alive at once, for one image (batch 1), in bytes.

    Layers run in order, one operation after the other; a tensor lives from the operation that writes it to the
    last one that reads it, the image and a skip's input included. `value_bytes` is 4 for float32 and 1 for int8.

    What is assumed of the runtime, and holds for those that mnas converts for:

    - batch norm is folded; an activation is part of its convolution or overwrites its input;
    - the scaling of squeeze-and-excitation and the sum with a skip overwrite their larger input;
    - a convolution pads by itself and never overwrites its input; the pooling of a skip runs last.

    Weights, the runtime's workspaces and the gaps between tensors in its arena come on top (docs/devices.md).

    >>> peak_activation_bytes(Architecture.parse("input_r8_c3 stem_k3_s2_c4 cn_k3_c8_noskip head_c4_n2"))
    1024
    """
    return value_bytes * max(_alive(architecture))


def _alive(architecture: Architecture) -> Iterator[int]:
    """How many numbers are alive during each operation."""
    stem, head = architecture.stem, architecture.head
    resolution = strided(architecture.resolution, stem.stride)
    values = stem.filters * resolution**2
    yield architecture.input_channels * architecture.resolution**2 + values
    if isinstance(head, DetectionHead):
        yield from _alive_in_detector(architecture, head)
        return
    for layer in architecture.layers:
        out = strided(resolution, layer.stride)
        yield from _alive_in_layer(layer, resolution**2, out**2)
        resolution, values = out, layer.filters * out**2
    if head.filters:
        given, values = values, head.filters * resolution**2
        yield given + values
    yield values + architecture.features  # the global mean
    yield architecture.features + head.classes


def _alive_in_detector(architecture: Architecture, head: DetectionHead) -> Iterator[int]:
    """Behind the stem. What is predicted on a map stays until all of it is put together at the end."""
    maps, tap = feature_maps(architecture), tapped_layer(architecture)
    resolution, kept = strided(architecture.resolution, architecture.stem.stride), 0
    for index, layer in enumerate(architecture.layers):
        out = strided(resolution, layer.stride)
        if index == tap:
            waiting = layer.in_filters * resolution**2 if layer.op == "mbconv" and layer.skip != "none" else 0
            yield from (waiting + alive for alive in _alive_in_predictors(maps[0], head))
            kept = _predicted(maps[0], head)
        yield from (kept + alive for alive in _alive_in_layer(layer, resolution**2, out**2))
        resolution = out
    if head.filters:
        yield kept + (architecture.layers[-1].filters + head.filters) * resolution**2
    for before, found in zip([None, *maps[1:]], maps[1:], strict=False):
        if before is not None:
            yield from (kept + alive for alive in _alive_in_extra(before, found))
        yield from (kept + alive for alive in _alive_in_predictors(found, head))
        kept += _predicted(found, head)
    yield 2 * kept


def _predicted(found: FeatureMap, head: DetectionHead) -> int:
    return found.boxes * found.resolution**2 * head.values


def _alive_in_predictors(found: FeatureMap, head: DetectionHead) -> Iterator[int]:
    """The map stays, since what comes next reads it too, and so do the boxes, which come before the classes."""
    places = found.boxes * found.resolution**2
    values = found.filters * found.resolution**2
    yield 2 * values + head.values * places  # behind the 1x1 convolution of the classes
    yield values + (2 * head.values - 4) * places  # its output, which is laid out box by box


def _alive_in_extra(before: FeatureMap, found: FeatureMap) -> Iterator[int]:
    half = found.filters // 2
    given, narrow = before.filters * before.resolution**2, half * before.resolution**2
    yield given + narrow
    yield narrow + half * found.resolution**2
    yield (half + found.filters) * found.resolution**2


def _alive_in_layer(layer: Layer, pixels: int, out_pixels: int) -> Iterator[int]:
    """The same for one layer, whose input has `pixels` and whose output `out_pixels`."""
    given = layer.in_filters * pixels
    waiting = given if layer.skip != "none" else 0  # the skip's input, once the first operation has read it
    hidden, result = layer.hidden_filters * out_pixels, layer.filters * out_pixels
    if layer.op == "mbconv":
        expanded = layer.hidden_filters * pixels
        yield given + expanded
        yield waiting + expanded + hidden
    else:
        yield given + hidden
    if layer.se_filters:
        yield waiting + hidden + layer.hidden_filters + layer.se_filters
    if layer.op != "conv":
        yield waiting + hidden + result
    if layer.skip == "pool":
        yield given + result + result
