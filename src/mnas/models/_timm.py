"""Weights of timm's mobile family."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from mnas.errors import did_you_mean
from mnas.models._foreign import Pair, StateDict, joined, load_pairs, places, shape_of
from mnas.models._network import Network
from mnas.models._reference import reference_architecture
from mnas.space import Block, Op

# timm's name -> reference, width
MODELS = {
    "mnasnet_050": ("mnasnet-b1", 0.5),
    "mnasnet_075": ("mnasnet-b1", 0.75),
    "mnasnet_100": ("mnasnet-b1", 1.0),
    "mnasnet_140": ("mnasnet-b1", 1.4),
    "semnasnet_050": ("mnasnet-a1", 0.5),
    "semnasnet_075": ("mnasnet-a1", 0.75),
    "semnasnet_100": ("mnasnet-a1", 1.0),
    "semnasnet_140": ("mnasnet-a1", 1.4),
    "mnasnet_small": ("mnasnet-small", 1.0),
    "mobilenetv1_100": ("mobilenet-v1", 1.0),
    "mobilenetv1_125": ("mobilenet-v1", 1.25),
    "mobilenetv2_035": ("mobilenet-v2", 0.35),
    "mobilenetv2_050": ("mobilenet-v2", 0.5),
    "mobilenetv2_075": ("mobilenet-v2", 0.75),
    "mobilenetv2_100": ("mobilenet-v2", 1.0),
    "mobilenetv2_140": ("mobilenet-v2", 1.4),
}

_SE = {"se.reduce": "se.conv_reduce", "se.expand": "se.conv_expand"}
_SEPCONV = {
    "depthwise.conv": "conv_dw",
    "depthwise.norm": "bn1",
    "project.conv": "conv_pw",
    "project.norm": "bn2",
}
_PARTS: dict[Op, dict[str, str]] = {
    "sepconv": _SEPCONV,
    "sepconv_act": _SEPCONV,
    "mbconv": {
        "expand.conv": "conv_pw",
        "expand.norm": "bn1",
        "depthwise.conv": "conv_dw",
        "depthwise.norm": "bn2",
        "project.conv": "conv_pwl",
        "project.norm": "bn3",
    },
}


def load_timm(name: str, state_dict: StateDict, *, resolution: int = 224) -> Network:
    """The network of a timm model with its weights, in evaluation mode: the same outputs.

    `name` is timm's ("semnasnet_100", with or without a tag such as ".rmsp_in1k"). Classes and input channels
    are those of the weights. The flavour is timm's: symmetric padding, batch norm with epsilon 1e-5 and
    momentum 0.1, and the residual of mnasnet_small's first block, which the official model has not.

    Raises:
        SettingsError: an unknown name, or weights that are not of this model.
    """
    plain = name.split(".")[0]
    if plain not in MODELS:
        raise did_you_mean("timm model", name, MODELS)
    reference_name, width = MODELS[plain]
    source = f"timm's {plain}"
    architecture = reference_architecture(
        reference_name,
        width=width,
        resolution=resolution,
        classes=shape_of(state_dict, "classifier.weight", 2, source)[0],
        input_channels=shape_of(state_dict, "conv_stem.weight", 4, source)[1],
    )
    if plain == "mnasnet_small":
        first, *rest = architecture.blocks
        architecture = architecture.replace(blocks=(dataclasses.replace(first, skip="identity"), *rest))
    architecture = architecture.replace(bn_momentum=0.1, bn_eps=1e-5)
    # At width 1 our blocks are timm's rows; at others, neighbours may have grown together.
    return load_pairs(architecture, _pairs(reference_architecture(reference_name).blocks), state_dict, source)


def _pairs(rows: Iterable[Block]) -> list[Pair]:
    pairs = [("stem.conv", "conv_stem"), ("stem.norm", "bn1"), ("head.conv", "conv_head"), ("head.norm", "bn2")]
    for place in places(rows):
        pairs += joined(place.prefix, f"blocks.{place.row}.{place.repeat}", _names(place.block))
    return [*pairs, ("classifier", "classifier")]


def _names(block: Block) -> dict[str, str]:
    return {**_PARTS[block.op], **(_SE if block.se_ratio else {})}
