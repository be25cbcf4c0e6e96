"""The member of a space that is most like a network from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mnas.errors import SettingsError
from mnas.space._architecture import Architecture, Block
from mnas.space._block_space import BlockChoices, BlockSpace
from mnas.space._rounding import round_choice, round_filters
from mnas.space._space import Tokens


def nearest_member(space: BlockSpace, architecture: Architecture) -> Tokens:
    """Tokens of the member that is nearest per choice, of equally near options the smaller one.

    Blocks are compared one by one: expansion ratios (a sepconv has 1), kernels, SE ratios, filters and layers by
    their difference, skips by being equal or not. Stem, head and resolution are the space's.

    Raises:
        SettingsError: the network has another number of blocks than the space.
    """
    if len(architecture.blocks) != len(space.blocks):
        raise SettingsError(
            f"a network is compared block by block with space {space.name!r}, which has {len(space.blocks)} blocks; "
            f"this one has {len(architecture.blocks)}"
        )
    tokens: list[int] = []
    for row, block in zip(space.blocks, architecture.blocks, strict=True):
        for name, options in row.options().items():
            if len(options) > 1:
                rank = _RANKS[name]
                tokens.append(min(range(len(options)), key=lambda t: rank(row, options[t], block, space.width)))
    return tuple(tokens)


def _op(row: BlockChoices, option: str, block: Block, width: float) -> tuple[float, ...]:
    expansion = float(option.removeprefix("mbconv")) if option.startswith("mbconv") else 1.0
    return (option == "conv") != (block.op == "conv"), abs(expansion - block.expand_ratio), expansion


def _filters(row: BlockChoices, option: float, block: Block, width: float) -> tuple[float, ...]:
    filters = round_filters(round_choice(row.filters * option), width)
    return abs(filters - block.filters), filters


def _layers(row: BlockChoices, option: int, block: Block, width: float) -> tuple[float, ...]:
    layers = max(row.min_layers, row.layers + option)
    return abs(layers - block.layers), layers


# (how far an option is from the block's answer, its size): the least is the nearest, of equal ones the smaller.
_RANKS: dict[str, Callable[[BlockChoices, Any, Block, float], tuple[float, ...]]] = {
    "op": _op,
    "kernel": lambda row, option, block, width: (abs(option - block.kernel), option),
    "se": lambda row, option, block, width: (abs(option - block.se_ratio), option),
    "skip": lambda row, option, block, width: (option != block.skip,),
    "filters": _filters,
    "layers": _layers,
}
