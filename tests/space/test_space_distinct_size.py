"""The exact number of distinct networks, against enumeration."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from space_strategies import small_spaces

from mnas.space import BlockChoices, BlockSpace, mnasnet_space


def enumerated(space: BlockSpace) -> int:
    every = itertools.product(*(range(len(choice.options)) for choice in space.choices))
    return len({space.decode(tokens) for tokens in every})


@settings(max_examples=60, deadline=None)
@given(small_spaces())
def test_the_distinct_size_is_that_of_enumeration(space: BlockSpace) -> None:
    assert space.distinct_size() == enumerated(space)


def test_one_block_of_the_papers_space() -> None:
    space = BlockSpace("block1", mnasnet_space().blocks[:1])
    assert space.size() == 432
    assert space.distinct_size() == enumerated(space)


def test_neighbours_that_merge_count_once() -> None:
    row = BlockChoices(8, 1, 1, ("conv",), (3,), (0,), ("none",), (1,), (0, 1, 2))
    space = BlockSpace("merging", (row, row))  # 1-3 layers and 1-3 layers: 2 to 6 of them
    assert space.size() == 9
    assert space.distinct_size() == 5


def test_widths_that_coincide_count_once() -> None:
    row = BlockChoices(16, 1, 1, ("conv",), (3,), (0,), ("none",), (0.75, 1, 1.25), (0,))
    assert BlockSpace("wide", (row,)).distinct_size() == 2  # 8, 16 and, ties down, 16
    assert BlockSpace("narrow", (row,), width=0.35).distinct_size() == 1  # all 8


@pytest.mark.parametrize(("width", "size"), [(1.0, 294_445_301_203_206_144), (0.35, 68_334_755_040_460_800)])
def test_the_papers_space_holds_as_many_networks_as_the_documentation_says(width: float, size: int) -> None:
    assert mnasnet_space(width=width).distinct_size() == size
