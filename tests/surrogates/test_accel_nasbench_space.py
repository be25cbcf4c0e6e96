"""The space `accel-nasbench` is that of the data: every row is a member and has the data's parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.errors import SettingsError
from mnas.space import (
    SearchSpace,
    accel_nasbench_row,
    accel_nasbench_space,
    accel_nasbench_tokens,
    count_params,
    mnasnet_space,
)
from mnas.testing import SpaceConformance

SPACE = accel_nasbench_space()


class TestAccelNasbench(SpaceConformance):
    def make(self) -> SearchSpace:
        return accel_nasbench_space()


class TestAccelNasbenchForSmallImages(SpaceConformance):
    def make(self) -> SearchSpace:
        return accel_nasbench_space(0.35, 32, (1, 1, 2, 2, 1, 2, 1), stem_stride=1, head_filters=256, classes=10)


def test_the_skeleton_is_the_datas() -> None:
    largest = SPACE.decode(tuple(len(choice.options) - 1 for choice in SPACE.choices))
    assert [block.filters for block in largest.blocks] == [16, 24, 40, 80, 112, 192, 320]
    assert [block.stride for block in largest.blocks] == [1, 2, 2, 2, 1, 2, 1]
    assert [block.layers for block in largest.blocks] == [3, 3, 3, 3, 3, 4, 3]
    assert (largest.stem.filters, largest.head.filters, largest.resolution) == (32, 1280, 224)
    assert largest.activation == "relu"
    # No two token tuples mean the same network: neighbouring blocks have different filters.
    assert SPACE.size() == SPACE.distinct_size() == 3**7 * 2**14 * 3**6 * 4


def test_expansions_are_ops() -> None:
    row = dict.fromkeys(accel_nasbench_row((0,) * 28), 0)
    row |= {key: 3 for key in row if key.endswith("_k")} | {key: 1 for key in row if key.endswith("_l")}
    for expansion, block in ((1, "ds_r1_k3_s1_c16_noskip"), (4, "ir_r1_k3_s1_e4_c16_noskip")):
        row |= {key: expansion for key in row if key.endswith("_e")}
        assert SPACE.decode(accel_nasbench_tokens(row)).block_strings[0] == block


@given(st.tuples(*(st.integers(0, len(choice.options) - 1) for choice in SPACE.choices)))
def test_a_row_and_its_tokens_are_each_others_inverse(tokens: tuple[int, ...]) -> None:
    row = accel_nasbench_row(tokens)
    assert accel_nasbench_tokens(row) == tokens
    assert accel_nasbench_tokens({key: str(value) for key, value in row.items()}) == tokens


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block0_e": 3}, "block0_e should be one of"),
        ({"block1_l": 4}, "block1_l"),
        ({"block2_k": "x"}, "whole number"),
    ],
)
def test_a_row_outside_the_space_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        accel_nasbench_tokens(accel_nasbench_row((0,) * 28) | change)


def test_a_row_without_a_column_is_refused() -> None:
    row = accel_nasbench_row((0,) * 28)
    del row["block6_se"]
    with pytest.raises(SettingsError, match="block6_se"):
        accel_nasbench_tokens(row)


def test_members_of_mnasnet_are_no_members() -> None:
    architecture = mnasnet_space().decode((0,) * 42)
    assert architecture not in SPACE


@pytest.mark.slow
def test_every_row_decodes_and_has_the_datas_parameters(accel_nasbench_rows: list[dict[str, str]]) -> None:
    """params_m is not rounded: millions with six decimals, so the counts must agree to the last parameter."""
    assert len(accel_nasbench_rows) == 4612
    for row in accel_nasbench_rows:
        tokens = accel_nasbench_tokens(row)
        architecture = SPACE.decode(tokens)
        assert SPACE.encode(architecture) == tokens
        assert {key: int(row[key]) for key in accel_nasbench_row(tokens)} == accel_nasbench_row(tokens)
        assert count_params(architecture) == round(float(row["params_m"]) * 1e6)
