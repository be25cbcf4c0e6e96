"""Layer shapes: what a space consists of."""

from __future__ import annotations

import random
from itertools import product

from mnas.profiles import layer_alone, layer_shapes, space_shapes
from mnas.space import BlockSpace, Layer, SearchSpace, mnasnet_layerwise_space, mnasnet_space


def test_a_space_has_the_shapes_of_its_networks_and_no_others(tiny_space):
    every = {
        shape
        for tokens in product(*(range(len(choice.options)) for choice in tiny_space.choices))
        for shape in layer_shapes(tiny_space.decode(tokens))
    }
    assert set(space_shapes(tiny_space)) == every


def test_no_network_of_the_papers_spaces_has_another_shape():
    for space in (mnasnet_space(width=0.5, resolution=96), mnasnet_layerwise_space()):
        shapes, generator = set(space_shapes(space)), random.Random(0)
        for _ in range(200):
            assert shapes.issuperset(layer_shapes(space.decode(space.sample(generator))))


class Foreign(SearchSpace):
    """A space of somebody else's making: only the contract."""

    def __init__(self, space: BlockSpace) -> None:
        self.name, self.choices = "foreign", space.choices
        self.decode, self.encode = space.decode, space.encode
        self.describe, self.distinct_size = space.describe, space.distinct_size

    decode = encode = describe = distinct_size = None


def test_a_space_of_another_kind_is_sampled(tiny_space):
    assert set(space_shapes(Foreign(tiny_space))) == set(space_shapes(tiny_space))


def test_shapes_of_one_text_are_equal(space):
    shapes = space_shapes(space)
    assert len({str(shape) for shape in shapes}) == len(shapes)


def test_a_layer_alone_is_that_layer_where_it_stands(space):
    network = space.decode(space.sample(random.Random(0)))
    for shape in layer_shapes(network):
        if isinstance(shape.row, Layer):
            alone = layer_shapes(layer_alone(shape, network))
            assert shape in alone
            assert len(alone) == 3
