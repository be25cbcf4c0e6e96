"""Hypothesis strategies for blocks, architectures and small spaces."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from mnas.space import (
    Activation,
    Architecture,
    Block,
    BlockChoices,
    BlockSpace,
    DetectionHead,
    Head,
    Op,
    Padding,
    Skip,
    Stem,
)

ratios = st.one_of(st.integers(1, 9), st.floats(1, 9, allow_nan=False), st.sampled_from([1.5, 2.25]))
se_ratios = st.one_of(st.sampled_from([0, 0.25, 1, 1e-5]), st.floats(0, 1, allow_nan=False))


@st.composite
def blocks(draw: Any) -> Block:
    op = draw(st.sampled_from(get_args(Op)))
    return Block(
        op=op,
        kernel=draw(st.sampled_from([1, 3, 5, 7])),
        filters=draw(st.integers(1, 2000)),
        layers=draw(st.integers(1, 4)),
        stride=draw(st.integers(1, 3)),
        expand_ratio=draw(ratios) if op == "mbconv" else 1,
        se_ratio=draw(se_ratios),
        skip=draw(st.sampled_from(get_args(Skip))),
    )


# Few values, so that neighbours often continue each other and skips often apply.
few_blocks = st.builds(
    lambda op, layers, stride, filters, skip: Block(op, 3, filters, layers, stride, 1, 0, skip),
    st.sampled_from(["conv", "sepconv", "sepconv_act"]),
    st.integers(1, 3),
    st.sampled_from([1, 1, 2]),
    st.sampled_from([8, 16]),
    st.sampled_from(get_args(Skip)),
)

stems = st.builds(Stem, kernel=st.sampled_from([1, 3, 5]), stride=st.integers(1, 4), filters=st.integers(1, 99))
heads = st.builds(Head, filters=st.integers(0, 2000), classes=st.integers(1, 2000))
detection_heads = st.builds(
    DetectionHead, filters=st.integers(0, 2000), classes=st.integers(1, 200), width=st.floats(0.01, 4)
)


@st.composite
def detectors(draw: Any) -> Architecture:
    """An architecture that falls in resolution at least once, and a detection head."""
    falling = Block(draw(st.sampled_from(get_args(Op))), 3, 8, stride=2)
    return draw(architectures).replace(blocks=(falling, *draw(architectures).blocks), head=draw(detection_heads))


architectures = st.builds(
    Architecture,
    blocks=st.lists(st.one_of(blocks(), few_blocks), min_size=1, max_size=5).map(tuple),
    stem=stems,
    head=heads,
    resolution=st.integers(1, 512),
    input_channels=st.integers(1, 4),
    activation=st.sampled_from(get_args(Activation)),
    padding=st.sampled_from(get_args(Padding)),
    bn_momentum=st.floats(1e-9, 1),
    bn_eps=st.floats(1e-9, 1),
)


def _some(options: list[Any], most: int) -> Any:
    return st.lists(st.sampled_from(options), min_size=1, max_size=most, unique=True).map(tuple)


small_block_choices = st.builds(
    BlockChoices,
    filters=st.sampled_from([8, 16]),
    layers=st.sampled_from([1, 2]),
    stride=st.sampled_from([1, 1, 2]),
    ops=_some(["conv", "sepconv", "mbconv1", "mbconv2"], 2),
    kernels=_some([3, 5], 1),
    se_ratios=st.just((0,)),
    skips=_some(["none", "identity", "pool"], 3),
    filter_ratios=_some([0.5, 1, 2], 2),
    layer_deltas=st.sampled_from([(0,), (1,), (-1, 0), (0, 1), (1, -1), (-1, 0, 1)]),
    min_layers=st.integers(0, 1),
)


@st.composite
def small_spaces(draw: Any, most: int = 600) -> BlockSpace:
    """Spaces of at most `most` token tuples, with neighbours that merge, layers left out and widths below one."""
    first = draw(small_block_choices.map(lambda row: BlockChoices(**{**vars(row), "min_layers": 1})))
    rows = [first]
    for row in draw(st.lists(small_block_choices, max_size=3)):
        if BlockSpace("small", (*rows, row)).size() <= most:
            rows.append(row)
    order = draw(st.permutations(rows))
    return BlockSpace(
        "small", tuple(order), draw(st.sampled_from([0.35, 0.5, 1.0])), Stem(filters=16), Head(8, 2), 16
    )
