from __future__ import annotations

import json

import pytest
from hypothesis import given
from space_strategies import architectures, blocks

from mnas.errors import SettingsError
from mnas.space import Architecture, Block, Head, Stem

TIMM_A1 = """ds_r1_k3_s1_e1_c16_noskip ir_r2_k3_s2_e6_c24 ir_r3_k5_s2_e3_c40_se0.25 ir_r4_k3_s2_e6_c80
             ir_r2_k3_s1_e6_c112_se0.25 ir_r3_k5_s2_e6_c160_se0.25 ir_r1_k3_s1_e6_c320"""
TIMM_B1 = """ds_r1_k3_s1_c16_noskip ir_r3_k3_s2_e3_c24 ir_r3_k5_s2_e3_c40 ir_r3_k5_s2_e6_c80 ir_r2_k3_s1_e6_c96
             ir_r4_k5_s2_e6_c192 ir_r1_k3_s1_e6_c320_noskip"""


@given(blocks())
def test_printing_and_parsing_a_block_are_inverse(block: Block) -> None:
    assert Block.parse(str(block)) == block


@given(architectures)
def test_printing_and_parsing_an_architecture_are_inverse(architecture: Architecture) -> None:
    again = Architecture.parse(str(architecture))
    assert again == architecture
    assert again.id == architecture.id
    assert hash(again) == hash(architecture)


@given(architectures)
def test_an_architecture_survives_json(architecture: Architecture) -> None:
    again = Architecture.from_dict(json.loads(json.dumps(architecture.to_dict(), allow_nan=False)))
    assert again == architecture
    assert again.id == architecture.id


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("ds_r1_k3_s1_e1_c16_noskip", Block("sepconv", 3, 16, skip="none")),
        ("ir_r3_k5_s2_e3_c40_se0.25", Block("mbconv", 5, 40, 3, 2, 3, 0.25)),
        ("ir_r1_k3_s1_e6_c320_noskip", Block("mbconv", 3, 320, 1, 1, 6, skip="none")),
        ("cn_r2_k5_s2_c24_se0.25_pool", Block("conv", 5, 24, 2, 2, 1, 0.25, "pool")),
        ("cn_k3_c8", Block("conv", 3, 8)),
    ],
)
def test_block_strings_read_as_in_timm(text: str, block: Block) -> None:
    assert Block.parse(text) == block


@pytest.mark.parametrize(("text", "layers"), [(TIMM_A1, 16), (TIMM_B1, 17)])
def test_the_strings_of_timm_give_the_networks_of_the_paper(text: str, layers: int) -> None:
    architecture = Architecture.parse(text)
    assert len(architecture.blocks) == 7
    assert len(architecture.layers) == layers
    assert architecture.stem == Stem(3, 2, 32)
    assert architecture.head == Head(1280, 1000)


def test_canonical_strings_of_a1() -> None:
    # The last block's skip cannot apply (112 filters become 160, 160 become 320), so its string says so.
    assert Architecture.parse(TIMM_A1).block_strings == (
        "ds_r1_k3_s1_c16_noskip",
        "ir_r2_k3_s2_e6_c24",
        "ir_r3_k5_s2_e3_c40_se0.25",
        "ir_r4_k3_s2_e6_c80",
        "ir_r2_k3_s1_e6_c112_se0.25",
        "ir_r3_k5_s2_e6_c160_se0.25",
        "ir_r1_k3_s1_e6_c320_noskip",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("xx_r1_k3_c8", "should start with cn_"),
        ("ir_r1_s1_e3_c8", "lacks k"),
        ("ir_r1_k3_s1_e3", "lacks c"),
        ("ir_r1_k3_s1_e3_c8_q4", "'q4' in"),
        ("ir_r1_k3_s1_e3_c8_se", "'se' in"),
        ("ir_r1.5_k3_s1_e3_c8", "whole number, got 1.5"),
        ("ir_r1_k4_s1_e3_c8", "kernel should be an odd number, got 4"),
        ("ir_r0_k3_s1_e3_c8", "layers should be a whole number from 1, got 0"),
        ("ir_r1_k3_s1_e0.5_c8", "expand_ratio should be at least 1"),
        ("ds_r1_k3_s1_e3_c8", "expand_ratio should be 1 for sepconv"),
        ("ir_r1_k3_s1_e3_c8_se2", "se_ratio should be from 0 to 1"),
        ("", "has no block strings"),
        ("stem_k3_s2_c32 head_c8_n2", "has no block strings"),
        ("dsa_r1_k3_s1_e3_c8", "expand_ratio should be 1 for sepconv_act"),
        ("ir_k3_c8 head_c8_n0", "classes should be at least 1"),
        ("ir_k3_c8 input_r0", "resolution should be at least 1"),
        ("ir_k3_c8 stem_c0", "stem filters should be at least 1"),
        ("ir_k3_c8 net_swish", "'swish' in"),
    ],
)
def test_a_bad_string_is_refused_with_the_part_named(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Architecture.parse(text)
