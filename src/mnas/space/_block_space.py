"""BlockSpace: a factorized hierarchical search space (Tan et al. 2019, section 4.1), as data.

A stem, a list of blocks with choices of their own, a head. `mnasnet` and `mnasnet-layerwise` are two sets
of such data; a user's space is another, written in a settings file.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar

from mnas.errors import SettingsError, did_you_mean
from mnas.space._architecture import Architecture, Block, Layer, Op, Skip, Stem
from mnas.space._heads import DetectionHead, Head
from mnas.space._rounding import round_choice, round_filters
from mnas.space._space import Choice, SearchSpace, Tokens

# Counts up when the same description begins to mean other networks: stored runs are then refused.
MEANING_VERSION = 1

_T = TypeVar("_T")

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
        if isinstance(self.min_layers, bool) or not isinstance(self.min_layers, int) or self.min_layers < 0:
            raise SettingsError(f"min_layers should be a whole number from 0, got {self.min_layers!r}")
        for name, values in (("filters", (self.filters,)), ("filter_ratios", self.filter_ratios)):
            for value in values:
                if not 0 < value < math.inf:
                    raise SettingsError(f"{name} should be above zero, got {value}")
        self._check_options()

    def _check_options(self) -> None:
        """Build a block with each option once: a bad one is refused now and not in the middle of a search."""
        longest = {**{name: options[0] for name, options in self.options().items()}, "layers": max(self.layer_deltas)}
        for name, options in self.options().items():
            for option in options:
                self.block({**longest, name: option}, width=1.0)
        if self.block(longest, width=1.0) is None:
            raise SettingsError(
                f"layers {self.layers} with layer_deltas {self.layer_deltas} never gives a layer: "
                "raise layers or leave the block out"
            )

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
    head: Head | DetectionHead = field(default_factory=Head)
    resolution: int = 224
    input_channels: int = 3

    def __post_init__(self) -> None:
        if not self.blocks:
            raise SettingsError(f"blocks should be at least one in space {self.name!r}, got none")
        if not 0 < self.width < math.inf:
            raise SettingsError(f"width should be above zero, got {self.width}")
        if all(map(self._may_be_empty, range(len(self.blocks)))):
            raise SettingsError(
                f"space {self.name!r} should have a layer in every network, but every block of it may be left out: "
                "give one of them min_layers = 1"
            )
        stride = max((row.stride for row in self.blocks), default=1)
        self._frame((Block("conv", 1, 1, stride=stride),))  # raises where stem, head or resolution are wrong

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

    def block_layers(self, index: int, in_filters: int) -> tuple[tuple[Layer, ...], ...]:
        """Every sequence of layers that block `index` (from 0) can be behind so many channels."""
        return tuple(self._words(index, in_filters))

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


def described_space(
    blocks: Sequence[Mapping[str, Any]],
    choices: Mapping[str, Sequence[Any]] | None = None,
    stem: Mapping[str, int] | None = None,
    head: Mapping[str, int] | None = None,
    width: float = 1.0,
    resolution: int = 224,
    classes: int = 1000,
    input_channels: int = 3,
) -> BlockSpace:
    """A space of the user's own, from plain values as a settings file has them.

    >>> space = described_space(
    ...     blocks=[{"filters": 16, "layers": 1, "stride": 1}, {"filters": 24, "layers": 2, "stride": 2}],
    ...     choices={"ops": ["sepconv", "mbconv6"], "se_ratios": [0], "skips": ["identity"]},
    ... )
    >>> [choice.name for choice in space.choices][:3]
    ['block1.op', 'block1.kernel', 'block1.filters']

    Args:
        blocks: per block `filters`, `layers` and `stride`, and what differs from `choices`.
        choices: options for every block, by the field names of `BlockChoices`.
        stem: `kernel`, `stride`, `filters`.
        head: `filters`; `classes` is its own argument.
        width: multiplier on stem and blocks.
        resolution: of the square input, in pixels.
        classes: outputs.
        input_channels: 1 for grey images, 3 for colour.

    Raises:
        SettingsError: an unknown key or a value out of range.
    """
    if not blocks:
        raise SettingsError("a space needs at least one block: [[space.blocks]] with filters, layers, stride")
    rows = [_described(BlockChoices, {**(choices or {}), **block}) for block in blocks]
    return BlockSpace(
        "blocks",
        tuple(rows),
        width,
        _described(Stem, stem or {}),
        _described(Head, {**(head or {}), "classes": classes}),
        resolution,
        input_channels,
    )


def _described(kind: type[_T], values: Mapping[str, Any]) -> _T:
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise did_you_mean(f"key of a space's {kind.__name__}:", key, known)
    try:
        return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
    except TypeError as error:
        raise SettingsError(f"a space's {kind.__name__} is described by {known}: {error}") from error


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
