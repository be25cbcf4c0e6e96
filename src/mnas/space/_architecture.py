"""Architecture: a network without weights, as frozen rows that print, parse and compare."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

from mnas.errors import SettingsError
from mnas.space._heads import DetectionHead, Head

Op = Literal["conv", "sepconv", "sepconv_act", "mbconv"]
Skip = Literal["none", "identity", "pool"]
Activation = Literal["relu", "relu6"]
Padding = Literal["symmetric", "same"]
_OPS, _SKIPS, _ACTIVATIONS, _PADDINGS = (get_args(names) for names in (Op, Skip, Activation, Padding))

# Blocks, their layers and their strings come again and again; thousands of trials share one of each. By the types of
# the numbers too: 1 and 1.0 are equal, and JSON tells them apart.
_shared = lru_cache(maxsize=8192, typed=True)

# Prefixes of timm's block strings: conv-norm-act, depthwise-separable, the same with an activation at its end (as in
# MobileNetV1), inverted residual.
_PREFIXES: dict[str, Op] = {"cn": "conv", "ds": "sepconv", "dsa": "sepconv_act", "ir": "mbconv"}
_PREFIX_OF = {op: prefix for prefix, op in _PREFIXES.items()}
_SKIP_FLAGS: dict[str, Skip] = {"noskip": "none", "pool": "pool"}
_FLAG_OF_SKIP = {skip: flag for flag, skip in _SKIP_FLAGS.items()}
_FIELD = re.compile(r"(se|eps|[a-z])(\d+(?:\.\d+)?(?:e-?\d+)?)")


@dataclass(frozen=True)
class Layer:
    """One repeat of a block with everything resolved: what the builder builds and the counts count.

    `skip` is what this layer really does: a skip that cannot apply is "none" here.
    """

    op: Op
    kernel: int
    stride: int
    in_filters: int
    filters: int
    expand_ratio: float
    se_ratio: float
    skip: Skip

    @property
    def hidden_filters(self) -> int:
        """Channels between expansion and projection; the input's without expansion, the output's for conv."""
        if self.op == "conv":
            return self.filters
        return round(self.in_filters * self.expand_ratio)

    @property
    def se_filters(self) -> int:
        """Squeeze width, 0 without SE: a share of the layer's *input* channels, as in the official code."""
        return max(1, int(self.in_filters * self.se_ratio)) if self.se_ratio else 0


@dataclass(frozen=True)
class Block:
    """One row of an architecture table: identical layers, of which only the first has the stride.

    >>> str(Block("mbconv", kernel=5, filters=40, layers=3, stride=2, expand_ratio=3, se_ratio=0.25))
    'ir_r3_k5_s2_e3_c40_se0.25'
    """

    op: Op
    kernel: int
    filters: int
    layers: int = 1
    stride: int = 1
    expand_ratio: float = 1
    se_ratio: float = 0
    skip: Skip = "identity"

    def __post_init__(self) -> None:
        _check(self.op in _OPS, "op", f"one of {_OPS}", self.op)
        _check(self.skip in _SKIPS, "skip", f"one of {_SKIPS}", self.skip)
        _check(self.kernel % 2 == 1, "kernel", "an odd number", self.kernel)
        for name in ("kernel", "filters", "layers", "stride"):
            value = getattr(self, name)
            _check(isinstance(value, int) and value >= 1, name, "a whole number from 1", value)
        _check(1 <= self.expand_ratio < math.inf, "expand_ratio", "at least 1", self.expand_ratio)
        _check(0 <= self.se_ratio <= 1, "se_ratio", "from 0 to 1", self.se_ratio)
        if self.op != "mbconv":
            _check(self.expand_ratio == 1, "expand_ratio", f"1 for {self.op}", self.expand_ratio)

    def __str__(self) -> str:
        expand = f"_e{_number(self.expand_ratio)}" if self.op == "mbconv" else ""
        se = f"_se{_number(self.se_ratio)}" if self.se_ratio else ""
        skip = f"_{_FLAG_OF_SKIP[self.skip]}" if self.skip in _FLAG_OF_SKIP else ""
        return f"{_PREFIX_OF[self.op]}_r{self.layers}_k{self.kernel}_s{self.stride}{expand}_c{self.filters}{se}{skip}"

    @classmethod
    def parse(cls, text: str) -> Block:
        """The block that a string in the manner of timm describes.

        Raises:
            SettingsError: the string is not a block; the message says which part.
        """
        return _parse_block(text)

    def expanded(self, in_filters: int) -> tuple[Layer, ...]:
        """The block's layers behind `in_filters` channels, each with what it really does."""
        # An MBConv without expansion has no expansion layer: it is the official code's SepConv.
        op: Op = "sepconv" if self.op == "mbconv" and self.expand_ratio == 1 else self.op
        ratios = self.expand_ratio, self.se_ratio
        first = _layer(op, self.kernel, self.stride, in_filters, self.filters, *ratios, self.skip)
        later = _layer(op, self.kernel, 1, self.filters, self.filters, *ratios, self.skip)
        return (first, *(later,) * (self.layers - 1))


@dataclass(frozen=True)
class Stem:
    """The first convolution, with batch norm and activation."""

    kernel: int = 3
    stride: int = 2
    filters: int = 32

    def __str__(self) -> str:
        return f"stem_k{self.kernel}_s{self.stride}_c{self.filters}"


@dataclass(frozen=True)
class Architecture:
    """A network without weights. Frozen and canonical: one network, one value, one `id`.

    Blocks are brought to canonical form on the way in: a skip that cannot apply becomes "none", an
    MBConv without expansion becomes a sepconv, and neighbouring blocks that continue each other become one.

    >>> a = Architecture.parse("ds_r1_k3_s1_c16 ir_r2_k3_s2_e6_c24")
    >>> Architecture.parse(str(a)) == a
    True
    >>> a.block_strings
    ('ds_r1_k3_s1_c16_noskip', 'ir_r2_k3_s2_e6_c24')
    """

    blocks: tuple[Block, ...]
    stem: Stem = field(default_factory=Stem)
    head: Head | DetectionHead = field(default_factory=Head)
    resolution: int = 224
    input_channels: int = 3
    activation: Activation = "relu"
    padding: Padding = "symmetric"
    bn_momentum: float = 0.01  # torch's convention: the share of the new batch; TensorFlow's 0.99
    bn_eps: float = 1e-3

    def __post_init__(self) -> None:
        _check(len(self.blocks) > 0, "blocks", "at least one block", "none")
        _check(self.activation in _ACTIVATIONS, "activation", f"{_ACTIVATIONS}", self.activation)
        _check(self.padding in _PADDINGS, "padding", f"{_PADDINGS}", self.padding)
        _check(self.resolution >= 1, "resolution", "at least 1 pixel", self.resolution)
        _check(self.input_channels >= 1, "input_channels", "at least 1", self.input_channels)
        _check(self.head.classes >= 1, "classes", "at least 1", self.head.classes)
        _check(self.stem.kernel % 2 == 1, "stem kernel", "an odd number", self.stem.kernel)
        _check(self.stem.stride >= 1, "stem stride", "at least 1", self.stem.stride)
        _check(self.stem.filters >= 1, "stem filters", "at least 1", self.stem.filters)
        _check(self.head.filters >= 0, "head filters", "at least 0", self.head.filters)
        layers: list[Layer] = []
        for block in self.blocks:
            layers.extend(block.expanded(layers[-1].filters if layers else self.stem.filters))
        if isinstance(self.head, DetectionHead):
            _check(0 < self.head.width < math.inf, "width of the extra layers", "above zero", self.head.width)
            strides = [layer.stride for layer in layers]
            _check(max(strides) > 1, "blocks of a detector", "falling in resolution at least once", strides)
        object.__setattr__(self, "blocks", _grouped(layers))

    @property
    def is_detector(self) -> bool:
        """Whether the network finds objects: its head is a DetectionHead."""
        return isinstance(self.head, DetectionHead)

    @property
    def features(self) -> int:
        """Channels that the classifier sees, or a detector's second map: the head's, or the last layer's."""
        return self.head.filters or self.blocks[-1].filters

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer between stem and head, in order."""
        layers: list[Layer] = []
        for block in self.blocks:
            layers.extend(block.expanded(layers[-1].filters if layers else self.stem.filters))
        return tuple(layers)

    @cached_property
    def id(self) -> str:
        """Twelve hex digits that name this network; equal networks have equal ids."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:12]

    @property
    def block_strings(self) -> tuple[str, ...]:
        """One string in the manner of timm per block."""
        return tuple(str(block) for block in self.blocks)

    def __str__(self) -> str:
        return " ".join(
            (
                f"input_r{self.resolution}_c{self.input_channels}",
                str(self.stem),
                *self.block_strings,
                str(self.head),
                f"net_{self.activation}_{self.padding}_m{_number(self.bn_momentum)}_eps{_number(self.bn_eps)}",
            )
        )

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """The inverse of `str`. Parts that are left out (input, stem, head, net) take their defaults.

        Raises:
            SettingsError: a part is not understood; the message says which.
        """
        fields: dict[str, Any] = {}
        blocks = []
        for part in text.replace(",", " ").split():
            found = _parse_part(part)
            if found is None:
                blocks.append(Block.parse(part))
            else:
                fields.update(found)
        if not blocks:
            raise SettingsError(f"{text!r} has no block strings, such as ir_r3_k5_s2_e3_c40_se0.25")
        return cls(blocks=tuple(blocks), **fields)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """The inverse of `to_dict`."""
        rest = {key: value for key, value in data.items() if key not in ("blocks", "stem", "head")}
        return cls(
            blocks=tuple(Block(**block) for block in data["blocks"]),
            stem=Stem(**data["stem"]),
            head=(DetectionHead if "width" in data["head"] else Head)(**data["head"]),
            **rest,
        )

    def replace(self, **changes: Any) -> Architecture:
        """A copy with the given fields changed, in canonical form."""
        return dataclasses.replace(self, **changes)


def _number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return str(int(value)) if value == int(value) else repr(value)


def _check(holds: bool, name: str, expected: str, came: object) -> None:
    if not holds:
        raise SettingsError(f"{name} should be {expected}, got {came!r}")


def _applicable(skip: Skip, stride: int, in_filters: int, filters: int) -> Skip:
    """What a layer really does with the skip it was given.

    Identity needs equal shapes. Pooling brings the resolution down itself, so it needs equal filters only.
    """
    if in_filters != filters or (skip == "identity" and stride != 1):
        return "none"
    return skip


def _grouped(layers: Sequence[Layer]) -> tuple[Block, ...]:
    """The canonical blocks of a sequence of layers: each block as long as it can be."""
    blocks: list[Block] = []
    first, count = layers[0], 0  # of the block that grows at the end of `blocks`
    for layer in layers:
        continues = bool(blocks) and _continues(blocks[-1], first, layer)
        first, count = (first, count + 1) if continues else (layer, 1)
        expand_ratio = first.expand_ratio if first.op == "mbconv" else 1
        grown = _block(
            first.op, first.kernel, first.filters, count, first.stride, expand_ratio, first.se_ratio, layer.skip
        )
        blocks[len(blocks) - continues :] = [grown]
    return tuple(blocks)


@_shared
def _block(*fields: Any) -> Block:
    return Block(*fields)


@_shared
def _layer(
    op: Op,
    kernel: int,
    stride: int,
    in_filters: int,
    filters: int,
    expand_ratio: float,
    se_ratio: float,
    skip: Skip,
) -> Layer:
    """A layer with the skip that it really does, of the one it was given."""
    # Never one in MobileNetV1, and in timm's "dsa" neither.
    skip = "none" if op == "sepconv_act" else _applicable(skip, stride, in_filters, filters)
    return Layer(op, kernel, stride, in_filters, filters, expand_ratio, se_ratio, skip)


def _continues(block: Block, first: Layer, layer: Layer) -> bool:
    if layer.stride != 1 or _kind(first) != _kind(layer):
        return False
    if block.layers > 1:
        return block.skip == layer.skip
    # The second layer settles the block's skip; the first must then do what it does now.
    return _applicable(layer.skip, first.stride, first.in_filters, first.filters) == first.skip


def _kind(layer: Layer) -> tuple[object, ...]:
    """What is alike in all layers of a block."""
    return layer.op, layer.kernel, layer.filters, layer.expand_ratio, layer.se_ratio


@_shared
def _parse_block(text: str) -> Block:
    prefix, *parts = text.strip().split("_")
    if prefix not in _PREFIXES:
        raise SettingsError(
            f"block string {text!r} should start with cn_ (conv), ds_ (sepconv), dsa_ (sepconv_act) or ir_ (MBConv), "
            "for example ir_r3_k5_s2_e3_c40_se0.25"
        )
    skips = [_SKIP_FLAGS[part] for part in parts if part in _SKIP_FLAGS]
    values = _parse_fields(text, (part for part in parts if part not in _SKIP_FLAGS), "rksec", {"se"})
    missing = [key for key in "kc" if key not in values]
    if missing:
        raise SettingsError(f"block string {text!r} lacks {' and '.join(missing)} (kernel, filters)")
    return Block(
        op=_PREFIXES[prefix],
        kernel=_whole(text, "k", values),
        filters=_whole(text, "c", values),
        layers=_whole(text, "r", values, 1),
        stride=_whole(text, "s", values, 1),
        expand_ratio=values.get("e", 1),
        se_ratio=values.get("se", 0),
        skip=skips[-1] if skips else "identity",
    )


def _parse_fields(text: str, parts: Iterable[str], letters: str, longer: set[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    for part in parts:
        match = _FIELD.fullmatch(part)
        if match is None or (match[1] not in longer and match[1] not in letters):
            known = ", ".join([*letters, *sorted(longer)])
            raise SettingsError(f"{part!r} in {text!r} is not understood; known here: {known}, each with a number")
        values[match[1]] = float(match[2])
    return values


def _whole(text: str, key: str, values: Mapping[str, float], default: int | None = None) -> int:
    value = values.get(key, default)
    if value is None or value != int(value):
        raise SettingsError(f"{key} in {text!r} should be a whole number, got {value}")
    return int(value)


def _parse_input(text: str) -> dict[str, Any]:
    values = _parse_fields(text, text.split("_")[1:], "rc", set())
    return {"resolution": _whole(text, "r", values, 224), "input_channels": _whole(text, "c", values, 3)}


def _parse_stem(text: str) -> dict[str, Any]:
    values = _parse_fields(text, text.split("_")[1:], "ksc", set())
    return {"stem": Stem(_whole(text, "k", values, 3), _whole(text, "s", values, 2), _whole(text, "c", values, 32))}


def _parse_head(text: str) -> dict[str, Any]:
    values = _parse_fields(text, text.split("_")[1:], "cn", set())
    return {"head": Head(_whole(text, "c", values, 1280), _whole(text, "n", values, 1000))}


def _parse_detection_head(text: str) -> dict[str, Any]:
    values = _parse_fields(text, text.split("_")[1:], "cnw", set())
    classes = _whole(text, "n", values, DetectionHead.classes)
    return {"head": DetectionHead(_whole(text, "c", values, DetectionHead.filters), classes, values.get("w", 1))}


def _parse_net(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    numbers = []
    for part in text.split("_")[1:]:
        if part in _ACTIVATIONS:
            fields["activation"] = part
        elif part in _PADDINGS:
            fields["padding"] = part
        else:
            numbers.append(part)
    values = _parse_fields(text, numbers, "m", {"eps"})
    names = {"m": "bn_momentum", "eps": "bn_eps"}
    return fields | {names[key]: value for key, value in values.items()}


_PARTS = {
    "input": _parse_input,
    "stem": _parse_stem,
    "head": _parse_head,
    "ssdlite": _parse_detection_head,
    "net": _parse_net,
}


@_shared
def _parse_part(text: str) -> Mapping[str, Any] | None:
    """What a part beside the blocks says; None for a block."""
    parser = _PARTS.get(text.split("_")[0])
    return None if parser is None else parser(text)
