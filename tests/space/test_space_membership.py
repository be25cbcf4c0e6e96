from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from space_strategies import small_spaces

from mnas.errors import SettingsError
from mnas.space import (
    Architecture,
    BlockChoices,
    BlockSpace,
    Stem,
    mnasnet_layerwise_space,
    mnasnet_space,
    round_choice,
    round_filters,
)

A1 = """ds_k3_c16_noskip ir_r2_k3_s2_e6_c24 ir_r3_k5_s2_e3_c40_se0.25 ir_r4_k3_s2_e6_c80 ir_r2_k3_e6_c112_se0.25
        ir_r3_k5_s2_e6_c160_se0.25 ir_k3_e6_c320"""
B1 = """ds_k3_c16_noskip ir_r3_k3_s2_e3_c24 ir_r3_k5_s2_e3_c40 ir_r3_k5_s2_e6_c80 ir_r2_k3_e6_c96 ir_r4_k5_s2_e6_c192
        ir_k3_e6_c320_noskip"""


@pytest.mark.parametrize("text", [A1, B1], ids=["a1", "b1"])
@pytest.mark.parametrize("make", [mnasnet_space, mnasnet_layerwise_space])
def test_the_papers_networks_are_members(make: Any, text: str) -> None:
    architecture = Architecture.parse(text)
    assert architecture in make()
    assert make().decode(make().encode(architecture)) == architecture


def test_every_member_of_mnasnet_is_a_member_of_the_layerwise_space() -> None:
    space, flat, generator = mnasnet_space(), mnasnet_layerwise_space(), random.Random(0)
    for _ in range(20):
        architecture = space.decode(space.sample(generator))
        assert flat.decode(flat.encode(architecture)) == architecture


def test_the_sizes_of_the_papers_spaces() -> None:
    assert mnasnet_space().size() == 432**7
    assert [len(choice.options) for choice in mnasnet_space().choices] == [4, 2, 2, 3, 3, 3] * 7
    assert mnasnet_layerwise_space().size() == 144**24 * 2**12
    assert mnasnet_layerwise_space().distinct_size() > 10**44


@given(st.data())
def test_small_spaces_encode_what_they_decode(data: Any) -> None:
    space = data.draw(small_spaces())
    tokens = tuple(data.draw(st.integers(0, len(choice.options) - 1)) for choice in space.choices)
    architecture = space.decode(tokens)
    canonical = space.encode(architecture)
    assert space.decode(canonical) == architecture
    assert space.encode(space.decode(canonical)) == canonical


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ((0,) * 41, "has 42 choices, got 41 tokens"),
        ((0, 2) + (0,) * 40, r"token 2 is out of range for 'block1.kernel', which has 2 options: \(3, 5\)"),
        ((-1,) + (0,) * 41, "token -1 is out of range for 'block1.op'"),
    ],
)
def test_bad_tokens_are_refused_with_the_choice_named(tokens: tuple[int, ...], says: str) -> None:
    for use in (mnasnet_space().decode, lambda t: mnasnet_space().mutate(t, random.Random(0))):
        with pytest.raises(SettingsError, match=says):
            use(tokens)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (A1.replace("c24", "c28"), "no choice of blocks gives its layer 2 of 16"),
        (A1.replace("ir_k3_e6_c320", "ir_k7_e6_c320"), "gives its layer 16 of 16"),
        (A1 + " ir_k3_s2_e6_c320", "gives its layer 17 of 17"),
        (A1 + " stem_k3_s2_c40", "which has stem stem_k3_s2_c32"),
        (A1 + " input_r192 head_c1280_n10", "which has head head_c1280_n1000, resolution 224"),
        (A1 + " net_relu6", "which has activation relu"),
    ],
)
def test_an_outsider_is_refused_with_the_difference_named(text: str, says: str) -> None:
    outsider = Architecture.parse(text)
    assert outsider not in mnasnet_space()
    with pytest.raises(SettingsError, match=says):
        mnasnet_space().encode(outsider)


def test_what_is_no_architecture_is_no_member() -> None:
    assert A1 not in mnasnet_space()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ops": ("mbconv",)}, "op 'mbconv' should be conv, sepconv or mbconvE"),
        ({"ops": ("dense",)}, "op 'dense' should be"),
        ({"ops": ("mbconv0.5",)}, "expand_ratio should be at least 1"),
        ({"kernels": (3, 3)}, "kernels should list at least one option, each once"),
        ({"kernels": (3, 4)}, "kernel should be an odd number, got 4"),
        ({"skips": ()}, "skips should list at least one option"),
        ({"skips": ("dense",)}, "skip should be one of"),
        ({"se_ratios": (0, 2)}, "se_ratio should be from 0 to 1, got 2"),
        ({"stride": 0}, "stride should be a whole number from 1, got 0"),
        ({"filters": 0}, "filters should be above zero, got 0"),
        ({"filter_ratios": (1, -1)}, "filter_ratios should be above zero, got -1"),
        (
            {"layers": -1, "layer_deltas": (0,), "min_layers": -1},
            "min_layers should be a whole number from 0, got -1",
        ),
    ],
)
def test_bad_block_choices_are_refused_when_they_are_made(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        BlockChoices(**{"filters": 16, "layers": 1, "stride": 1, **change})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocks": ()}, "blocks should be at least one"),
        ({"width": 0}, "width should be above zero, got 0"),
        ({"resolution": 0}, "resolution should be at least 1 pixel, got 0"),
        ({"stem": Stem(stride=0)}, "stem stride should be"),
        ({"blocks": (BlockChoices(16, 1, 1, min_layers=0),)}, "every block of it may be left out"),
    ],
)
def test_a_bad_space_is_refused_when_it_is_made(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        BlockSpace(**{"name": "own", "blocks": (BlockChoices(16, 1, 1),), **change})


def test_a_space_without_open_choices_has_nothing_to_mutate() -> None:
    fixed = BlockChoices(16, 1, 1, ("conv",), (3,), (0,), ("none",), (1,), (0,))
    space = BlockSpace("fixed", (fixed,))
    assert (space.size(), space.distinct_size(), space.sample(random.Random(0))) == (1, 1, ())
    with pytest.raises(SettingsError, match="nothing to mutate"):
        space.mutate((), random.Random(0))


@pytest.mark.parametrize("width", [0.35, 0.5, 1.4])
def test_the_width_multiplier_scales_stem_and_blocks_but_not_the_head(width: float) -> None:
    architecture = mnasnet_space(width=width).decode((0,) * 42)
    assert architecture.stem.filters == round_filters(32, width)
    assert architecture.layers[0].filters == round_filters(round_choice(16 * 0.75), width)
    assert architecture.head.filters == 1280


def test_rounding_of_filters_ties_down() -> None:
    assert [round_choice(f) for f in (4, 12, 20, 28, 92, 104, 120, 200)] == [8, 8, 16, 24, 88, 96, 112, 192]


@pytest.mark.parametrize(
    ("width", "filters"),
    # The widths of A1 under the official multiplier.
    [
        (0.35, [8, 8, 16, 32, 40, 56, 112]),
        (0.5, [8, 16, 24, 40, 56, 80, 160]),
        (0.75, [16, 24, 32, 64, 88, 120, 240]),
        (1.4, [24, 32, 56, 112, 160, 224, 448]),
    ],
)
def test_rounding_under_a_width_multiplier_is_the_official_one(width: float, filters: list[int]) -> None:
    assert [round_filters(f, width) for f in (16, 24, 40, 80, 112, 160, 320)] == filters


def test_strides_are_seven() -> None:
    with pytest.raises(SettingsError, match="seven numbers"):
        mnasnet_space(strides=(1, 2))
