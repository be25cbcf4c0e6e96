"""Reference architectures: the published networks that a search is compared with. No torch in here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from mnas.errors import SettingsError, did_you_mean
from mnas.space import (
    Activation,
    Architecture,
    Block,
    BlockSpace,
    DetectionHead,
    Padding,
    Stem,
    mnasnet_space,
    round_filters,
)


@dataclass(frozen=True)
class Reference:
    """A published network: its stem's filters and its rows, before any width multiplier."""

    stem: int
    rows: tuple[Block, ...]
    activation: Activation = "relu"
    head_filters: int = 1280
    head_grows: bool = False  # with a width above one: MobileNetV2's does, MnasNet's never
    resolution: int = 224
    detects: bool = False  # with SSDLite behind it


def _reference(stem: int, blocks: str, **rest: object) -> Reference:
    return Reference(stem, tuple(Block.parse(block) for block in blocks.split()), **rest)  # type: ignore[arg-type]


# tensorflow/tpu, models/official/mnasnet/mnasnet_models.py; MobileNetV2: Sandler et al. 2018, Table 2; MobileNetV1:
# Howard et al. 2017, Table 1, in seven rows as the others are, so that they fall in resolution at the same places.
REFERENCES = {
    "mnasnet-a1": _reference(
        32,
        "ds_r1_k3_s1_c16_noskip ir_r2_k3_s2_e6_c24 ir_r3_k5_s2_e3_c40_se0.25 ir_r4_k3_s2_e6_c80 "
        "ir_r2_k3_s1_e6_c112_se0.25 ir_r3_k5_s2_e6_c160_se0.25 ir_r1_k3_s1_e6_c320",
    ),
    "mnasnet-b1": _reference(
        32,
        "ds_r1_k3_s1_c16_noskip ir_r3_k3_s2_e3_c24 ir_r3_k5_s2_e3_c40 ir_r3_k5_s2_e6_c80 "
        "ir_r2_k3_s1_e6_c96 ir_r4_k5_s2_e6_c192 ir_r1_k3_s1_e6_c320_noskip",
    ),
    # The official first block is nominally 16 -> 8 behind a stem of 8, so it has no skip; timm's has one.
    "mnasnet-small": _reference(
        8,
        "ds_r1_k3_s1_c8_noskip ir_r1_k3_s2_e3_c16 ir_r2_k3_s2_e6_c16 ir_r4_k5_s2_e6_c32_se0.25 "
        "ir_r3_k3_s1_e6_c32_se0.25 ir_r3_k5_s2_e6_c88_se0.25 ir_r1_k3_s1_e6_c144",
    ),
    "mnasnet-d1": _reference(
        32,
        "ir_r1_k3_s1_e9_c24 ir_r3_k3_s2_e9_c36 ir_r5_k3_s2_e9_c48 ir_r4_k5_s2_e9_c96 "
        "ir_r5_k7_s1_e3_c96 ir_r3_k3_s2_e9_c80 ir_r1_k7_s1_e6_c320_noskip",
    ),
    "mnasnet-d1-320": _reference(
        32,
        "ir_r3_k5_s1_e6_c24 ir_r4_k7_s2_e9_c36 ir_r5_k5_s2_e9_c48 ir_r5_k7_s2_e6_c96 "
        "ir_r5_k3_s1_e9_c144 ir_r5_k5_s2_e6_c160 ir_r1_k7_s1_e9_c320",
    ),
    "mobilenet-v1": _reference(
        32,
        "dsa_r1_k3_s1_c64 dsa_r2_k3_s2_c128 dsa_r2_k3_s2_c256 dsa_r3_k3_s2_c512 "
        "dsa_r3_k3_s1_c512 dsa_r1_k3_s2_c1024 dsa_r1_k3_s1_c1024",
        activation="relu6",
        head_filters=0,
    ),
    "mobilenet-v2": _reference(
        32,
        "ds_r1_k3_s1_c16 ir_r2_k3_s2_e6_c24 ir_r3_k3_s2_e6_c32 ir_r4_k3_s2_e6_c64 "
        "ir_r3_k3_s1_e6_c96 ir_r3_k3_s2_e6_c160 ir_r1_k3_s1_e6_c320",
        activation="relu6",
        head_grows=True,
    ),
    # Tan & Le 2019, Table 1, with ReLU in place of swish: as it is in the space `accel-nasbench`.
    "efficientnet-b0-relu": _reference(
        32,
        "ds_r1_k3_s1_c16_se0.25 ir_r2_k3_s2_e6_c24_se0.25 ir_r2_k5_s2_e6_c40_se0.25 ir_r3_k3_s2_e6_c80_se0.25 "
        "ir_r3_k5_s1_e6_c112_se0.25 ir_r4_k5_s2_e6_c192_se0.25 ir_r1_k3_s1_e6_c320_se0.25",
    ),
}
# The paper's detectors (Tan et al. 2019, Table 3). It gives neither taps nor boxes: these are those of the public
# ssdlite_mobilenet_v2_coco.config and ssdlite_mobilenet_v1_coco.config.
for _name in ("mnasnet-a1", "mobilenet-v1", "mobilenet-v2"):
    REFERENCES[f"ssdlite-{_name}"] = dataclasses.replace(REFERENCES[_name], resolution=320, detects=True)


def reference_names() -> tuple[str, ...]:
    """The names that `reference_architecture` knows."""
    return tuple(REFERENCES)


def reference_architecture(
    name: str,
    *,
    width: float = 1.0,
    resolution: int | None = None,
    classes: int | None = None,
    input_channels: int | None = None,
    padding: Padding = "symmetric",
    stem_stride: int | None = None,
    strides: Sequence[int] | None = None,
    head_filters: int | None = None,
    like: BlockSpace | None = None,
) -> Architecture:
    """A published network, scaled: `width` multiplies the filters of stem and blocks as the official code does.

    What is left out is as published (224 px and 1000 classes, detectors 320 px and 90; 3 channels), or as in the
    search space `like`: then the network has that space's resolution, classes, input channels, stem stride and
    head, and falls in resolution where that space's blocks do, so that both can be compared on small images.
    `strides` are those of the seven blocks. Padding and batch norm are mnas' own; weights of others come by
    `load_timm` and `load_torchvision`, which choose theirs.

    >>> from mnas.space import count_params
    >>> count_params(reference_architecture("mnasnet-a1"))
    3887038
    >>> small = mnasnet_space(width=0.35, resolution=32, strides=(1, 1, 2, 1, 1, 2, 1), stem_stride=1, classes=10)
    >>> reference_architecture("mobilenet-v2", width=0.35, like=small).resolution
    32

    Raises:
        SettingsError: an unknown name (the nearest is given), a width of zero or less, not seven strides.
    """
    if name not in REFERENCES:
        raise did_you_mean("reference model", name, REFERENCES)
    if not width > 0:
        raise SettingsError(f"width should be above zero, got {width}")
    reference = REFERENCES[name]
    frame = like or mnasnet_space(resolution=reference.resolution, head_filters=reference.head_filters)
    if strides is None:
        strides = strides_like(frame) if like else [row.stride for row in reference.rows]
    head = frame.head
    if reference.detects and not isinstance(head, DetectionHead):
        head = DetectionHead(head.filters, head.classes if like else DetectionHead.classes, width)
    head = dataclasses.replace(
        head, filters=_given(head_filters, head.filters), classes=_given(classes, head.classes)
    )
    if reference.head_grows:
        head = dataclasses.replace(head, filters=round_filters(head.filters, max(1.0, width)))
    return Architecture(
        blocks=scaled_rows(reference, width, strides),
        stem=Stem(stride=_given(stem_stride, frame.stem.stride), filters=round_filters(reference.stem, width)),
        head=head,
        resolution=_given(resolution, frame.resolution),
        input_channels=_given(input_channels, frame.input_channels),
        activation=reference.activation,
        padding=padding,
    )


def scaled_rows(reference: Reference, width: float, strides: Sequence[int]) -> tuple[Block, ...]:
    """The reference's rows under a width multiplier, with the given strides."""
    if len(strides) != len(reference.rows):
        raise SettingsError(f"strides should be {len(reference.rows)} numbers, one per block; got {list(strides)}")
    return tuple(
        dataclasses.replace(row, filters=round_filters(row.filters, width), stride=stride)
        for row, stride in zip(reference.rows, strides, strict=True)
    )


def strides_like(space: BlockSpace) -> tuple[int, ...]:
    """Strides of the seven blocks, such that they fall in resolution where the space's blocks do.

    Filters tell the place: a block runs at the resolution of the space's last block with as many filters as
    MobileNetV2's block of that place, or fewer. In `mnasnet` spaces these are simply the space's strides.
    """
    places = [row.filters for row in REFERENCES["mobilenet-v2"].rows]
    ends = [max((i for i, row in enumerate(space.blocks, 1) if row.filters <= place), default=0) for place in places]
    ends[-1] = len(space.blocks)
    return tuple(
        math.prod(row.stride for row in space.blocks[start:end])
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    )


def _given(value: int | None, default: int) -> int:
    return default if value is None else value
