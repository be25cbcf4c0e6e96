"""BlockSpace: a factorized hierarchical search space (Tan et al. 2019, section 4.1), as data.

A stem, a list of blocks with choices of their own, a head. `mnasnet` and `mnasnet-layerwise` are two sets
of such data; a user's space is another, written in a settings file.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from mnas.errors import SettingsError
from mnas.space._architecture import Architecture, Block, Head, Layer, Op, Skip, Stem
from mnas.space._rounding import round_choice, round_filters
from mnas.space._space import Choice, SearchSpace, Tokens

# Counts up when the same description begins to mean other networks: stored runs are then refused.
MEANING_VERSION = 1

_OPTION_NAMES = {
    "op": "ops",
    "kernel": "kernels",
    "se": "se_ratios",
    "skip": "skips",
    "filters": "filter_ratios",
    "layers": "layer_deltas",
}


@dataclass(frozen=True)
class BlockChoices:
    """A block's place in the skeleton and what may be chosen for it.

    `filters` and `layers` are the skeleton's; a choice multiplies the one and adds to the other. `ops` are
    "conv", "sepconv" or "mbconvE" with expansion ratio E. What has one option is fixed and takes no token.
    """

    filters: int
    layers: int
    stride: int
    ops: tuple[str, ...] = ("conv", "sepconv", "mbconv3", "mbconv6")
    kernels: tuple[int, ...] = (3, 5)
    se_ratios: tuple[float, ...] = (0, 0.25)
    skips: tuple[Skip, ...] = ("none", "identity", "pool")
    filter_ratios: tuple[float, ...] = (0.75, 1, 1.25)
    layer_deltas: tuple[int, ...] = (-1, 0, 1)
    min_layers: int = 1

    def __post_init__(self) -> None:
        for name in _OPTION_NAMES.values():
            options = getattr(self, name)
            if not options or len(set(options)) != len(options):
                raise SettingsError(f"{name} should list at least one option, each once; got {options}")
        for op in self.ops:
            _parse_op(op)

    def options(self) -> dict[str, tuple[Any, ...]]:
        """Name of the choice to its options, in the order of the tokens."""
        return {choice: getattr(self, name) for choice, name in _OPTION_NAMES.items()}

    def block(self, answers: dict[str, Any], width: float) -> Block | None:
        """The block that the answers mean; None when it has no layers."""
        layers = max(self.min_layers, self.layers + answers["layers"])
        if layers == 0:
            return None
        op, expand_ratio = _parse_op(answers["op"])
        filters = round_filters(round_choice(self.filters * answers["filters"]), width)
        kernel, se, skip = answers["kernel"], answers["se"], answers["skip"]
        return Block(op, kernel, filters, layers, self.stride, expand_ratio, se, skip)


@dataclass(frozen=True)
class BlockSpace(SearchSpace):
    """Stem, blocks with choices, head. `width` is the official multiplier on stem and blocks, never the head."""

    name: str
    blocks: tuple[BlockChoices, ...]
    width: float = 1.0
    stem: Stem = field(default_factory=Stem)
    head: Head = field(default_factory=Head)
    resolution: int = 224
    input_channels: int = 3

    @cached_property
    def choices(self) -> tuple[Choice, ...]:  # type: ignore[override]
        """One per block and property with more than one option: "block1.op", "block1.kernel", ..."""
        return tuple(
            Choice(f"block{number}.{name}", options)
            for number, block in enumerate(self.blocks, start=1)
            for name, options in block.options().items()
            if len(options) > 1
        )

    def decode(self, tokens: Tokens) -> Architecture:
        """The architecture that these answers mean."""
        self.check(tokens)
        rest = iter(tokens)
        blocks = []
        for row in self.blocks:
            answers = {
                name: options[next(rest) if len(options) > 1 else 0] for name, options in row.options().items()
            }
            block = row.block(answers, self.width)
            if block is not None:
                blocks.append(block)
        return self._frame(tuple(blocks))

    def encode(self, architecture: Architecture) -> Tokens:
        """The canonical tokens of a member."""
        frame = self._frame(architecture.blocks)
        if frame != architecture:
            names = [f.name for f in dataclasses.fields(Architecture)]
            differing = [n for n in names if getattr(frame, n) != getattr(architecture, n)]
            wanted = ", ".join(f"{n} {getattr(frame, n)}" for n in differing)
            raise SettingsError(f"not a member of space {self.name!r}, which has {wanted}")
        reached = [0]  # layers that the first blocks could account for, for the message

        @cache
        def tokens_from(index: int, position: int, filters: int) -> Tokens | None:
            reached[0] = max(reached[0], position)
            if index == len(self.blocks):
                return () if position == len(layers) else None
            words = self._words(index, filters)
            for length in sorted({len(word) for word in words}, reverse=True):
                word = layers[position : position + length]
                if word not in words:
                    continue
                rest = tokens_from(index + 1, position + length, word[-1].filters if word else filters)
                if rest is not None:
                    return (*words[word], *rest)
            return None

        layers = architecture.layers
        tokens = tokens_from(0, 0, frame.stem.filters)
        if tokens is None:
            where = min(reached[0], len(layers) - 1)
            raise SettingsError(
                f"not a member of space {self.name!r}: no choice of blocks gives its layer {where + 1} "
                f"of {len(layers)} ({layers[where]})"
            )
        return tokens

    def describe(self) -> dict[str, Any]:
        """The whole space as plain values, with the version of their meaning."""
        return {"meaning": MEANING_VERSION, **dataclasses.asdict(self)}

    def distinct_size(self) -> int:
        """How many different networks the space holds, exactly.

        Two token tuples mean one network when they give the same sequence of layers, so this counts words:
        each block adds one of finitely many words, and different splits of a sequence count once.
        """
        return self._count_words(frozenset({(0, ())}), self._frame_stem().filters)

    def _frame(self, blocks: tuple[Block, ...]) -> Architecture:
        return Architecture(blocks, self._frame_stem(), self.head, self.resolution, self.input_channels)

    def _frame_stem(self) -> Stem:
        return dataclasses.replace(self.stem, filters=round_filters(self.stem.filters, self.width))

    def _words(self, index: int, in_filters: int) -> dict[tuple[Layer, ...], Tokens]:
        """Every sequence of layers that a block can be behind `in_filters`, with its first tokens."""
        cached: dict[tuple[int, int], dict[tuple[Layer, ...], Tokens]] = self._word_cache
        if (index, in_filters) not in cached:
            cached[index, in_filters] = self._make_words(self.blocks[index], in_filters)
        return cached[index, in_filters]

    @cached_property
    def _word_cache(self) -> dict[tuple[int, int], dict[tuple[Layer, ...], Tokens]]:
        return {}

    def _make_words(self, row: BlockChoices, in_filters: int) -> dict[tuple[Layer, ...], Tokens]:
        words: dict[tuple[Layer, ...], Tokens] = {}
        for tokens, answers in _answers(row):
            block = row.block(answers, self.width)
            words.setdefault(block.expanded(in_filters) if block else (), tokens)
        return words

    def _count_words(self, start: frozenset[_State], filters: int) -> int:
        """Distinct words from a set of states, by subset construction; a state is what may still follow."""

        @cache
        def count(states: frozenset[_State], filters: int) -> int:
            between = frozenset(state for state in states if not state[1])
            inside = states - between
            nexts = self._after_layer(between, filters)
            inside_letters = {rest[0] for _, rest in inside}
            if between and inside and not inside_letters & nexts.keys():
                return count(between, filters) + count(inside, filters)  # the parts cannot give the same word
            total = int((len(self.blocks), ()) in self._skipping(between))
            for letter in nexts.keys() | inside_letters:
                onward = {(index, rest[1:]) for index, rest in inside if rest[0] == letter}
                total += count(frozenset(onward | nexts.get(letter, set())), letter.filters)
            return total

        return count(start, filters)

    def _skipping(self, states: frozenset[_State]) -> set[_State]:
        """The states, and those reached from them over blocks without layers."""
        reached = set(states)
        queue = list(states)
        while queue:
            index, _ = queue.pop()
            state: _State = (index + 1, ())
            if index < len(self.blocks) and self._may_be_empty(index) and state not in reached:
                reached.add(state)
                queue.append(state)
        return reached

    def _may_be_empty(self, index: int) -> bool:
        row = self.blocks[index]
        return any(max(row.min_layers, row.layers + delta) == 0 for delta in row.layer_deltas)

    def _after_layer(self, states: frozenset[_State], filters: int) -> dict[Layer, set[_State]]:
        """Each layer that can come next, and the states behind it."""
        nexts: dict[Layer, set[_State]] = {}
        for index, _ in self._skipping(states):
            if index < len(self.blocks):
                for word in self._words(index, filters):
                    if word:
                        nexts.setdefault(word[0], set()).add((index + 1, word[1:]))
        return nexts


# Index of the next block, and the layers still to come of the one before it.
_State = tuple[int, tuple[Layer, ...]]


def _answers(row: BlockChoices) -> Iterator[tuple[Tokens, dict[str, Any]]]:
    """Every combination of a block's options, with its tokens, in the order of the tokens."""
    options = row.options()
    for tokens in itertools.product(*(range(len(values)) for values in options.values())):
        answers = {name: values[token] for (name, values), token in zip(options.items(), tokens, strict=True)}
        open_tokens = (t for t, values in zip(tokens, options.values(), strict=True) if len(values) > 1)
        yield tuple(open_tokens), answers


def _parse_op(op: str) -> tuple[Op, float]:
    if op == "conv":
        return "conv", 1
    if op == "sepconv":
        return "sepconv", 1
    if op.startswith("mbconv"):
        try:
            return "mbconv", float(op.removeprefix("mbconv"))
        except ValueError:
            pass
    raise SettingsError(f"op {op!r} should be conv, sepconv or mbconvE with expansion ratio E, such as mbconv6")
