"""Promises of the member that is most like a network from elsewhere."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.errors import SettingsError
from mnas.models import reference_architecture
from mnas.space import Architecture, accel_nasbench_space, mnasnet_space, nearest_member

SPACE = accel_nasbench_space()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_member_is_nearest_to_itself(seed):
    member = SPACE.decode(SPACE.sample(random.Random(seed)))
    assert SPACE.decode(nearest_member(SPACE, member)) == member


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1"])
def test_what_the_paper_found_is_nearest_to_itself_in_its_space(name):
    space, found = mnasnet_space(), reference_architecture(name)
    assert space.decode(nearest_member(space, found)).block_strings == found.block_strings


def test_efficientnet_b0_is_a_member():
    b0 = reference_architecture("efficientnet-b0-relu")
    assert SPACE.decode(nearest_member(SPACE, b0)) == b0


def test_each_choice_is_answered_by_the_nearest_option():
    """Expansion 3 is nearer to 4 than to 1; 160 filters become 192, which are fixed; the last block has no SE."""
    nearest = SPACE.decode(nearest_member(SPACE, reference_architecture("mnasnet-a1")))
    assert nearest.block_strings == (
        "ds_r1_k3_s1_c16_noskip", "ir_r2_k3_s2_e6_c24", "ir_r3_k5_s2_e4_c40_se0.25", "ir_r3_k3_s2_e6_c80",
        "ir_r2_k3_s1_e6_c112_se0.25", "ir_r3_k5_s2_e6_c192_se0.25", "ir_r1_k3_s1_e6_c320_noskip",
    )  # fmt: skip


def test_of_equally_near_options_the_smaller_is_taken():
    """Expansion 5 lies between 4 and 6."""
    blocks = " ".join(f"ir_r1_k3_s{s}_e5_c{c}" for s, c in zip((1, 2, 2, 2, 1, 2, 1), (16, 24, 40, 80, 112, 192, 320),
                                                               strict=True))  # fmt: skip
    nearest = SPACE.decode(nearest_member(SPACE, Architecture.parse(blocks)))
    assert {block.expand_ratio for block in nearest.blocks} == {4}


def test_another_number_of_blocks_is_refused():
    with pytest.raises(SettingsError, match="which has 7 blocks; this one has 1"):
        nearest_member(SPACE, Architecture.parse("ir_r3_k3_s1_e3_c16"))
