"""`accel-nasbench`: the space that Accel-NASBench's 4,612 ImageNet trainings were drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from mnas.errors import SettingsError
from mnas.space._architecture import Stem
from mnas.space._block_space import BlockChoices, BlockSpace
from mnas.space._heads import Head
from mnas.space._mnasnet import STRIDES, _seven
from mnas.space._space import Tokens

FILTERS = (16, 24, 40, 80, 112, 192, 320)  # fixed: EfficientNet-B0's
MOST_LAYERS = (3, 3, 3, 3, 3, 4, 3)

# A choice's name in the data, and the answer to it in our terms.
_OPS = {1: "sepconv", 4: "mbconv4", 6: "mbconv6"}
_ANSWERS: Mapping[str, Mapping[int, Any]] = {
    "e": _OPS,
    "k": {3: 3, 5: 5},
    "se": {0: 0, 1: 0.25},
    "l": {layers: layers for layers in (1, 2, 3, 4)},
}
_COLUMN_OF = {"op": "e", "kernel": "k", "se": "se", "layers": "l"}


def accel_nasbench_space(
    width: float = 1.0,
    resolution: int = 224,
    strides: Sequence[int] = STRIDES,
    stem_stride: int = 2,
    head_filters: int = 1280,
    classes: int = 1000,
    input_channels: int = 3,
) -> BlockSpace:
    """The MnasNet space as Accel-NASBench has it: 28 choices, 1.04e11 networks, EfficientNet-B0's filters.

    Per block: sepconv (the data's expansion 1), MBConv4 or MBConv6; kernel 3 or 5; SE 0 or 0.25; 1 to 3
    layers, 1 to 4 in the sixth block; identity skips wherever they apply. With the defaults it is the space
    of the data (Ahmad et al. 2024, Appendix B), and the only one that its surrogates answer for; the other
    arguments fit it to other images, as in `mnasnet`.

    The data's networks use ReLU (hard sigmoid in SE), as `Architecture` does by default.
    """
    blocks = (
        BlockChoices(
            filters,
            layers=1,
            stride=stride,
            ops=tuple(_OPS.values()),
            skips=("identity",),
            filter_ratios=(1,),
            layer_deltas=tuple(range(most)),
        )
        for filters, most, stride in zip(FILTERS, MOST_LAYERS, _seven(strides), strict=True)
    )
    stem, head = Stem(stride=stem_stride), Head(head_filters, classes)
    return BlockSpace("accel-nasbench", tuple(blocks), width, stem, head, resolution, input_channels)


def accel_nasbench_tokens(row: Mapping[str, Any]) -> Tokens:
    """The tokens of a row of the data: `block0_e`, `block0_k`, `block0_l`, `block0_se`, `block1_e`, ...

    Takes the CSV's strings and the JSON files' numbers and truth values; other columns are not looked at.

    Raises:
        SettingsError: a column is missing, or its value is not an option of the space.
    """
    tokens = []
    for choice in _space().choices:
        column = _column(choice.name)
        answer = _ANSWERS[column.split("_")[1]].get(_number(row, column))
        options = _options(choice.name, choice.options)
        if answer not in options:
            raise SettingsError(f"{column} should be one of {_data_values(column, options)}, got {row[column]!r}")
        tokens.append(options.index(answer))
    return tuple(tokens)


def accel_nasbench_row(tokens: Tokens) -> dict[str, int]:
    """The architecture columns of the data that some tokens mean: the inverse of `accel_nasbench_tokens`.

    Raises:
        SettingsError: too few, too many or out of range.
    """
    space = _space()
    space.check(tokens)
    row = {}
    for token, choice in zip(tokens, space.choices, strict=True):
        column = _column(choice.name)
        answer = _options(choice.name, choice.options)[token]
        row[column] = _data_values(column, (answer,))[0]
    return row


@cache
def _space() -> BlockSpace:
    return accel_nasbench_space()


def _column(choice: str) -> str:
    """`block1.op` is the data's `block0_e`."""
    block, name = choice.split(".")
    return f"block{int(block.removeprefix('block')) - 1}_{_COLUMN_OF[name]}"


def _options(choice: str, options: tuple[Any, ...]) -> tuple[Any, ...]:
    """A choice's options as the data count them: layers from 1, where the space adds from 0."""
    return tuple(1 + delta for delta in options) if choice.endswith("layers") else options


def _data_values(column: str, answers: Sequence[Any]) -> list[int]:
    inverse = {answer: value for value, answer in _ANSWERS[column.split("_")[1]].items()}
    return [inverse[answer] for answer in answers]


def _number(row: Mapping[str, Any], column: str) -> int:
    if column not in row:
        raise SettingsError(f"a row of Accel-NASBench has a column {column!r}; this one has {', '.join(row)}")
    try:
        return int(row[column])
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{column} should be a whole number, got {row[column]!r}") from error
