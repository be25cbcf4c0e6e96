"""Encoder: architectures of `accel-nasbench` -> rows of tokens, quickly."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.errors import SettingsError
from mnas.space import Architecture, Block, BlockSpace, Tokens, accel_nasbench_space

BLOCKS = 7
CHOICES_PER_BLOCK = 4  # op, kernel, SE, layers
TokenArray = NDArray[np.uint8]  # (networks, 28)

# Everything of an architecture but its blocks, and everything of a block: as tuples, which hash and compare
# several times faster than dataclasses.
_frame = attrgetter(*(field.name for field in fields(Architecture) if field.name != "blocks"))
_content = attrgetter(*(field.name for field in fields(Block)))


class Encoder:
    """Tokens of many architectures, by looking their blocks up. A frame (stem, head, pixels, ...) is the space's."""

    def __init__(self) -> None:
        self.space: BlockSpace = accel_nasbench_space()
        self.sizes = np.array([len(choice.options) for choice in self.space.choices], dtype=np.uint8)
        # A block's combination of answers as one number: its tokens times these, summed.
        sizes = self.sizes.reshape(BLOCKS, CHOICES_PER_BLOCK).astype(np.intp)
        self.weights = np.stack([np.append(np.cumprod(row[:0:-1])[::-1], 1) for row in sizes])
        # Per block: its content to its tokens, a byte each.
        self._known: list[dict[tuple[Any, ...], bytes]] = [
            {_content(self._block(index, tokens)): bytes(tokens) for tokens in block_combinations(index)}
            for index in range(BLOCKS)
        ]
        self._frame = _frame(self.space.decode((0,) * len(self.sizes)))

    def tokens(self, architectures: Iterable[Architecture]) -> TokenArray:
        """One row of 28 tokens per architecture.

        Raises:
            SettingsError: an architecture is not a member of `accel-nasbench`; the message says what differs.
        """
        rows = b"".join(map(self._row, architectures))
        return np.frombuffer(rows, dtype=np.uint8).reshape(-1, len(self.sizes))

    def checked(self, tokens: Any) -> TokenArray:
        """Rows of tokens as an array, each in range.

        Raises:
            SettingsError: not whole numbers of the right shape, or out of range.
        """
        array = np.asarray(tokens)
        if array.ndim != 2 or array.shape[1] != len(self.sizes) or array.dtype.kind not in "iu":
            raise SettingsError(
                f"tokens should be whole numbers of shape (networks, {len(self.sizes)}), "
                f"got {array.dtype} of shape {array.shape}"
            )
        if (array.max(axis=0, initial=0) >= self.sizes).any() or array.min(initial=0) < 0:
            for row in array.tolist():
                self.space.check(tuple(row))  # raises, and says which token
        return array.astype(np.uint8, copy=False)

    def combinations(self, tokens: TokenArray) -> NDArray[np.intp]:
        """Each block's answers as one number: (networks, 7), in the order of `block_combinations`."""
        blocks = tokens.reshape(-1, BLOCKS, CHOICES_PER_BLOCK)
        numbers: NDArray[np.intp] = (blocks * self.weights).sum(axis=2)
        return numbers

    def _row(self, architecture: Architecture) -> bytes:
        blocks = architecture.blocks
        if len(blocks) == BLOCKS and _frame(architecture) == self._frame:
            found = [known.get(_content(block)) for known, block in zip(self._known, blocks, strict=True)]
            if None not in found:
                return b"".join(found)  # type: ignore[arg-type]
        try:
            return bytes(self.space.encode(architecture))  # raises, and says what differs
        except SettingsError as error:
            raise SettingsError(f"the surrogates answer only for members of accel-nasbench: {error}") from error

    def _block(self, index: int, tokens: Tokens) -> Block:
        return self.space.decode(with_block(index, tokens)).blocks[index]


@cache
def encoder() -> Encoder:
    """The one encoder."""
    return Encoder()


def block_combinations(index: int) -> list[Tokens]:
    """Every answer to a block's four choices, in the order of their number."""
    choices = accel_nasbench_space().choices[CHOICES_PER_BLOCK * index : CHOICES_PER_BLOCK * (index + 1)]
    return list(itertools.product(*(range(len(choice.options)) for choice in choices)))


def with_block(index: int, tokens: Tokens) -> Tokens:
    """Tokens of a network with these answers for one block and the first options for all others."""
    before = (0,) * (CHOICES_PER_BLOCK * index)
    return before + tokens + (0,) * (CHOICES_PER_BLOCK * (BLOCKS - 1 - index))
