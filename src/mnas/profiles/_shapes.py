"""LayerShape: a layer where it stands, which is what a device spends its time on."""

from __future__ import annotations

from dataclasses import dataclass

from mnas.errors import SettingsError
from mnas.space import Architecture, Block, Head, Layer, Stem


@dataclass(frozen=True)
class LayerShape:
    """A stem, layer or head behind so many channels at a resolution. Two that are equal take equally long.

    >>> architecture = Architecture.parse("input_r32_c3 stem_c16 ir_r2_k3_s2_e3_c24 head_c64_n10")
    >>> [str(shape) for shape in layer_shapes(architecture)][:2]
    ['r32_i3 stem_k3_s2_c16', 'r16_i16 ir_r1_k3_s2_e3_c24_noskip']
    """

    resolution: int  # that comes in
    in_filters: int  # channels that come in
    row: Stem | Layer | Head

    def __str__(self) -> str:
        row = _block(self.row) if isinstance(self.row, Layer) else self.row
        return f"r{self.resolution}_i{self.in_filters} {row}"

    @property
    def out_resolution(self) -> int:
        """The resolution that goes out; 1 behind the head."""
        return 1 if isinstance(self.row, Head) else -(-self.resolution // self.row.stride)


def layer_shapes(architecture: Architecture) -> tuple[LayerShape, ...]:
    """The shapes of the stem, each layer and the head, in order; a shape stands there as often as it occurs.

    Raises:
        SettingsError: the network is a detector, of whose head profiles know nothing.
    """
    shapes = [LayerShape(architecture.resolution, architecture.input_channels, architecture.stem)]
    filters = architecture.stem.filters
    for layer in architecture.layers:
        shapes.append(LayerShape(shapes[-1].out_resolution, filters, layer))
        filters = layer.filters
    shapes.append(LayerShape(shapes[-1].out_resolution, filters, classifier_head(architecture)))
    return tuple(shapes)


def classifier_head(architecture: Architecture) -> Head:
    """The head, of which a profile knows what it costs.

    Raises:
        SettingsError: it is a detector's.
    """
    if not isinstance(architecture.head, Head):
        raise SettingsError(
            f"profiles predict classifiers, and the network ends in {architecture.head}: measure detectors themselves"
        )
    return architecture.head


def layer_alone(shape: LayerShape, like: Architecture) -> Architecture:
    """A network of this one layer, with a stem that makes its input and a head as small as they can be.

    Its input has the resolution of the layer, so the stem is a 1x1 convolution from the image's channels.
    """
    assert isinstance(shape.row, Layer)
    stem, head = Stem(kernel=1, stride=1, filters=shape.in_filters), Head(filters=8, classes=8)
    return like.replace(blocks=(_block(shape.row),), stem=stem, head=head, resolution=shape.resolution)


def _block(layer: Layer) -> Block:
    expand_ratio = layer.expand_ratio if layer.op == "mbconv" else 1
    return Block(layer.op, layer.kernel, layer.filters, 1, layer.stride, expand_ratio, layer.se_ratio, layer.skip)
