"""What a layer consists of on a device: kernels with their sizes, from which its cost is modelled.

A layer that is timed alone, over and over, finds its weights and activations in the caches. In a whole network
it does not. So whole networks have, beside each part, a companion of the same sizes: what it costs that the
part is cold.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from mnas.profiles._shapes import LayerShape, layer_shapes
from mnas.space import Architecture, Head, Layer, Stem

_WEIGHTLESS = ("add", "scale", "pool", "average", "network")


class Part(NamedTuple):
    """One kernel that a device runs. Equal parts take equally long."""

    kind: str  # "conv k3 s2", "depthwise k5 s1", "pointwise", ...
    inputs: int  # channels
    outputs: int
    in_pixels: int
    out_pixels: int
    kernel: int = 1
    is_cold: bool = False  # a companion: not the part, but what it costs that it is cold

    def __str__(self) -> str:
        sizes = f"{self.kind} i{self.inputs} o{self.outputs} p{self.in_pixels} q{self.out_pixels}"
        return f"{sizes} cold" if self.is_cold else sizes

    @property
    def family(self) -> str:
        """The kind without kernel and stride."""
        return self.kind.partition(" ")[0]

    @property
    def weights(self) -> int:
        """How many numbers it multiplies with."""
        if self.family == "depthwise":
            return self.kernel**2 * self.outputs
        if self.family in _WEIGHTLESS:
            return 0
        return self.kernel**2 * self.inputs * self.outputs

    @property
    def madds(self) -> int:
        """Multiply-adds."""
        return self.weights * self.out_pixels

    @property
    def traffic(self) -> int:
        """Numbers read and written, weights apart."""
        return self.inputs * self.in_pixels + self.outputs * self.out_pixels


NETWORK = Part("network", 1, 1, 1, 1)  # what running a network costs at all


def network_parts(architecture: Architecture, alone: bool = False) -> Counter[Part]:
    """How often each part occurs in a network; `alone`: one that is a layer to be timed, and finds it warm."""
    found = Counter([NETWORK])
    for shape in layer_shapes(architecture):
        found.update(warm_parts(shape) if alone else parts(shape))
    return found


def parts(shape: LayerShape) -> list[Part]:
    """The parts of a layer shape within a network, each with its companion."""
    return [one for part in warm_parts(shape) for one in (part, part._replace(is_cold=True))]


def warm_parts(shape: LayerShape) -> list[Part]:
    """The parts of a layer shape that is timed alone, in the order of their work."""
    into, out = shape.resolution**2, shape.out_resolution**2
    row = shape.row
    if isinstance(row, Stem):
        return [_conv(row.kernel, row.stride, shape.in_filters, row.filters, into, out)]
    if isinstance(row, Head):
        features = row.filters or shape.in_filters
        return [
            *([_conv(1, 1, shape.in_filters, row.filters, into, into)] if row.filters else []),
            Part("average", features, features, into, 1),
            Part("dense", features, row.classes, 1, 1),
        ]
    return [*_body(row, into, out), *_skip(row, into, out)]


def _body(layer: Layer, into: int, out: int) -> list[Part]:
    hidden = layer.hidden_filters
    found = []
    if layer.op == "conv":
        found.append(_conv(layer.kernel, layer.stride, layer.in_filters, hidden, into, out))
    else:
        if layer.op == "mbconv":
            found.append(_conv(1, 1, layer.in_filters, hidden, into, into))
        kind = f"depthwise k{layer.kernel} s{layer.stride}"
        found.append(Part(kind, hidden, hidden, into, out, layer.kernel))
    if layer.se_filters:
        found += [
            Part("average", hidden, hidden, out, 1),
            Part("dense", hidden, layer.se_filters, 1, 1),
            Part("dense", layer.se_filters, hidden, 1, 1),
            Part("scale", hidden, hidden, out, out),
        ]
    if layer.op != "conv":
        found.append(_conv(1, 1, hidden, layer.filters, out, out))
    return found


def _skip(layer: Layer, into: int, out: int) -> list[Part]:
    if layer.skip == "none":
        return []
    pool = [Part(f"pool s{layer.stride}", layer.in_filters, layer.in_filters, into, out)]
    return [*(pool if layer.skip == "pool" else []), Part("add", 2 * layer.filters, layer.filters, out, out)]


def _conv(kernel: int, stride: int, inputs: int, outputs: int, into: int, out: int) -> Part:
    kind = "pointwise" if kernel == stride == 1 else f"conv k{kernel} s{stride}"
    return Part(kind, inputs, outputs, into, out, kernel)
