"""Published counts. That they equal those of the built networks is tested with the models."""

from __future__ import annotations

import pytest

from mnas.space import Architecture, Stem, count_madds, count_params, count_rows, weight_bytes

A1 = """ds_k3_c16_noskip ir_r2_k3_s2_e6_c24 ir_r3_k5_s2_e3_c40_se0.25 ir_r4_k3_s2_e6_c80 ir_r2_k3_e6_c112_se0.25
        ir_r3_k5_s2_e6_c160_se0.25 ir_k3_e6_c320"""
B1 = """ds_k3_c16_noskip ir_r3_k3_s2_e3_c24 ir_r3_k5_s2_e3_c40 ir_r3_k5_s2_e6_c80 ir_r2_k3_e6_c96 ir_r4_k5_s2_e6_c192
        ir_k3_e6_c320_noskip"""
SMALL = """stem_k3_s2_c8 ds_k3_c8_noskip ir_k3_s2_e3_c16 ir_r2_k3_s2_e6_c16 ir_r4_k5_s2_e6_c32_se0.25
           ir_r3_k3_e6_c32_se0.25 ir_r3_k5_s2_e6_c88_se0.25 ir_k3_e6_c144"""
# B1 with width multiplier 0.5: torchvision's mnasnet0_5.
B1_HALF = """stem_k3_s2_c16 ds_k3_c8_noskip ir_r3_k3_s2_e3_c16 ir_r3_k5_s2_e3_c24 ir_r3_k5_s2_e6_c40 ir_r2_k3_e6_c48
             ir_r4_k5_s2_e6_c96 ir_k3_e6_c160_noskip"""


@pytest.mark.parametrize(
    ("text", "params", "madds"),
    [
        (A1, 3_887_038, 311_579_072),
        (B1, 4_383_312, 314_415_872),
        (SMALL, 2_030_264, 68_339_184),
        (B1_HALF, 2_218_512, 104_455_968),
    ],
    ids=["a1", "b1", "small", "b1 x0.5"],
)
def test_counts_are_the_published_ones(text: str, params: int, madds: int) -> None:
    architecture = Architecture.parse(text)
    assert count_params(architecture) == params
    assert count_madds(architecture) == madds


def test_a_plain_convolution_by_hand() -> None:
    a = Architecture.parse("input_r8_c3 stem_k3_s2_c4 cn_k5_s2_c8_se0.25 head_c16_n10")
    stem, conv, head = count_rows(a)
    assert (stem.resolution, conv.resolution, head.resolution) == (4, 2, 1)
    assert stem.params == 9 * 3 * 4 + 2 * 4
    squeeze = max(1, int(4 * 0.25))  # of the layer's input channels
    assert conv.params == 25 * 4 * 8 + 2 * 8 + (8 * squeeze + squeeze) + (squeeze * 8 + 8)
    assert conv.madds == 25 * 4 * 8 * 2**2 + 2 * 8 * squeeze
    assert head.params == 8 * 16 + 2 * 16 + 16 * 10 + 10
    assert head.madds == 8 * 16 * 2**2 + 16 * 10


def test_exported_weights_have_batch_norm_folded() -> None:
    a = Architecture.parse("input_r8_c3 stem_k3_s2_c4 cn_k3_c4_noskip head_c4_n2")
    folded = (9 * 3 * 4 + 4) + (9 * 4 * 4 + 4) + (4 * 4 + 4) + (4 * 2 + 2)
    assert weight_bytes(a) == 4 * folded


def test_odd_resolutions_round_up() -> None:
    a = Architecture((*Architecture.parse("cn_k3_s2_c8").blocks,), stem=Stem(stride=2), resolution=7)
    assert [row.resolution for row in count_rows(a)] == [4, 2, 1]
