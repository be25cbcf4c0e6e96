"""How much memory the activations of a network need, exactly and without building it."""

from __future__ import annotations

from collections.abc import Iterator

from mnas.space._architecture import Architecture, Layer
from mnas.space._counts import strided


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
    for layer in architecture.layers:
        out = strided(resolution, layer.stride)
        yield from _alive_in_layer(layer, resolution**2, out**2)
        resolution, values = out, layer.filters * out**2
    features = head.filters * resolution**2
    yield values + features
    yield features + head.filters  # the global mean
    yield head.filters + head.classes


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
