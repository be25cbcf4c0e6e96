"""Every layer shape that the networks of a space can have."""

from __future__ import annotations

import random
from collections.abc import Iterator

from mnas.profiles._shapes import LayerShape, classifier_head, layer_shapes
from mnas.space import BlockSpace, SearchSpace

_QUIET = 3000  # networks in a row that show no new shape: there are no more


def space_shapes(space: SearchSpace) -> list[LayerShape]:
    """All of them, for a BlockSpace; for others what random networks show until nothing new comes."""
    return list(dict.fromkeys(_exactly(space) if isinstance(space, BlockSpace) else _by_sampling(space)))


def _exactly(space: BlockSpace) -> Iterator[LayerShape]:
    first = space.decode((0,) * len(space.choices))
    stem = LayerShape(first.resolution, first.input_channels, first.stem)
    yield stem
    places = {(stem.out_resolution, first.stem.filters)}  # resolution and channels in front of the next block
    for index in range(len(space.blocks)):
        nexts = set()
        for resolution, filters in sorted(places):
            for layers in space.block_layers(index, filters):
                behind = (resolution, filters)
                for layer in layers:
                    shape = LayerShape(*behind, layer)
                    yield shape
                    behind = (shape.out_resolution, layer.filters)
                nexts.add(behind)
        places = nexts
    for resolution, filters in sorted(places):
        yield LayerShape(resolution, filters, classifier_head(first))


def _by_sampling(space: SearchSpace) -> Iterator[LayerShape]:
    generator, seen, quiet = random.Random(0), set[LayerShape](), 0
    while quiet < _QUIET:
        shapes = layer_shapes(space.decode(space.sample(generator)))
        quiet = quiet + 1 if seen.issuperset(shapes) else 0
        seen.update(shapes)
        yield from shapes
