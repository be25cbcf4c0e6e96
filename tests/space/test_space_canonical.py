from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from space_strategies import architectures, blocks, few_blocks

from mnas.space import Architecture, Block, Layer

sequences = st.lists(st.one_of(few_blocks, few_blocks, blocks()), min_size=1, max_size=6)


def layers_of(given_blocks: list[Block], in_filters: int = 32) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for block in given_blocks:
        layers.extend(block.expanded(layers[-1].filters if layers else in_filters))
    return tuple(layers)


@given(sequences)
def test_the_canonical_form_is_the_network_that_was_given(given_blocks: list[Block]) -> None:
    assert Architecture(tuple(given_blocks)).layers == layers_of(given_blocks)


@given(sequences)
def test_splitting_blocks_into_layers_changes_nothing(given_blocks: list[Block]) -> None:
    pieces = [
        dataclasses.replace(block, layers=1, stride=block.stride if index == 0 else 1)
        for block in given_blocks
        for index in range(block.layers)
    ]
    whole, split = Architecture(tuple(given_blocks)), Architecture(tuple(pieces))
    assert split == whole
    assert split.id == whole.id


@given(sequences, sequences)
def test_ids_are_equal_exactly_when_the_layers_are(first: list[Block], second: list[Block]) -> None:
    a, b = Architecture(tuple(first)), Architecture(tuple(second))
    assert (a.id == b.id) == (a == b) == (a.layers == b.layers)


@given(architectures)
def test_whatever_else_differs_gives_another_id(a: Architecture) -> None:
    others = [
        a.replace(resolution=a.resolution + 1),
        a.replace(input_channels=a.input_channels + 1),
        a.replace(stem=dataclasses.replace(a.stem, kernel=a.stem.kernel + 2)),
        a.replace(head=dataclasses.replace(a.head, classes=a.head.classes + 1)),
        a.replace(activation="relu" if a.activation == "relu6" else "relu6"),
        a.replace(padding="same" if a.padding == "symmetric" else "symmetric"),
        a.replace(bn_momentum=a.bn_momentum / 2),
        a.replace(bn_eps=a.bn_eps / 2),
    ]
    assert len({a.id, *(other.id for other in others)}) == len(others) + 1


def test_a_skip_that_cannot_apply_is_none() -> None:
    strided = Block("conv", 3, 32, stride=2, skip="identity")
    widening = Block("conv", 3, 48, skip="pool")
    assert [block.skip for block in Architecture((strided, widening)).blocks] == ["none", "none"]


def test_pooling_can_skip_a_stride() -> None:
    assert Architecture((Block("conv", 3, 32, stride=2, skip="pool"),)).blocks[0].skip == "pool"


def test_an_mbconv_without_expansion_is_a_sepconv() -> None:
    assert Architecture((Block("mbconv", 3, 16, expand_ratio=1),)) == Architecture((Block("sepconv", 3, 16),))


def test_a_first_layer_without_the_skip_of_the_rest_stays_apart() -> None:
    plain = Block("conv", 3, 32, skip="none")  # an identity could apply here, and does not
    assert len(Architecture((plain, dataclasses.replace(plain, skip="identity"))).blocks) == 2
