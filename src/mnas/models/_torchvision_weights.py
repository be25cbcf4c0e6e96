"""Weights of torchvision's mnasnet0_5 ... mnasnet1_3 and mobilenet_v2."""

from __future__ import annotations

import dataclasses

from mnas.errors import did_you_mean
from mnas.models._foreign import Pair, Place, StateDict, joined, load_pairs, places, shape_of
from mnas.models._network import Network
from mnas.models._reference import REFERENCES, Reference, reference_architecture
from mnas.space import Architecture, Op

# torchvision's name -> reference, width
MODELS = {
    "mnasnet0_5": ("mnasnet-b1", 0.5),
    "mnasnet0_75": ("mnasnet-b1", 0.75),
    "mnasnet1_0": ("mnasnet-b1", 1.0),
    "mnasnet1_3": ("mnasnet-b1", 1.3),
    "mobilenet_v2": ("mobilenet-v2", 1.0),
}

_MNASNET_PARTS: dict[Op, dict[str, str]] = {
    "sepconv": {"depthwise.conv": "3", "depthwise.norm": "4", "project.conv": "6", "project.norm": "7"},
    "mbconv": {
        "expand.conv": "layers.0",
        "expand.norm": "layers.1",
        "depthwise.conv": "layers.3",
        "depthwise.norm": "layers.4",
        "project.conv": "layers.6",
        "project.norm": "layers.7",
    },
}
_MOBILENET_PARTS: dict[Op, dict[str, str]] = {
    "sepconv": {
        "depthwise.conv": "conv.0.0",
        "depthwise.norm": "conv.0.1",
        "project.conv": "conv.1",
        "project.norm": "conv.2",
    },
    "mbconv": {
        "expand.conv": "conv.0.0",
        "expand.norm": "conv.0.1",
        "depthwise.conv": "conv.1.0",
        "depthwise.norm": "conv.1.1",
        "project.conv": "conv.2",
        "project.norm": "conv.3",
    },
}


def load_torchvision(name: str, state_dict: StateDict, *, resolution: int = 224) -> Network:
    """The network of a torchvision model with its weights, in evaluation mode: the same outputs.

    Classes and input channels are those of the weights. The flavour is torchvision's: symmetric padding,
    batch norm with epsilon 1e-5 and momentum 0.0003 (mobilenet_v2: 0.1). Checkpoints of the first version of
    its mnasnet, whose stem and first block were not scaled, are known by their shapes and give that network.

    Raises:
        SettingsError: an unknown name, or weights that are not of this model.
    """
    if name not in MODELS:
        raise did_you_mean("torchvision model", name, MODELS)
    reference_name, width = MODELS[name]
    source, is_mnasnet = f"torchvision's {name}", reference_name != "mobilenet-v2"
    stem = shape_of(state_dict, "layers.0.weight" if is_mnasnet else "features.0.0.weight", 4, source)
    architecture = reference_architecture(
        reference_name,
        width=width,
        resolution=resolution,
        classes=shape_of(state_dict, "classifier.1.weight", 2, source)[0],
        input_channels=stem[1],
    )
    reference = REFERENCES[reference_name]
    if is_mnasnet and stem[0] == reference.stem:
        architecture = _first_version(architecture, reference)
    architecture = architecture.replace(bn_momentum=1 - 0.9997 if is_mnasnet else 0.1, bn_eps=1e-5)
    pairs = _mnasnet_pairs(reference) if is_mnasnet else _mobilenet_pairs(reference)
    return load_pairs(architecture, pairs, state_dict, source)


def _first_version(architecture: Architecture, reference: Reference) -> Architecture:
    """The network with stem and first block unscaled; at width 1 the same one."""
    first, *rest = architecture.blocks
    first = dataclasses.replace(first, filters=reference.rows[0].filters)
    stem = dataclasses.replace(architecture.stem, filters=reference.stem)
    return architecture.replace(stem=stem, blocks=(first, *rest))


def _mnasnet_pairs(reference: Reference) -> list[Pair]:
    pairs = [("stem.conv", "layers.0"), ("stem.norm", "layers.1")]
    for place in places(reference.rows):
        # Stem and first block lie flat in the outermost list, the other blocks are its items from 8 on.
        theirs = "layers" if place.row == 0 else f"layers.{7 + place.row}.{place.repeat}"
        pairs += joined(place.prefix, theirs, _MNASNET_PARTS[place.block.op])
    return [*pairs, ("head.conv", "layers.14"), ("head.norm", "layers.15"), ("classifier", "classifier.1")]


def _mobilenet_pairs(reference: Reference) -> list[Pair]:
    pairs = [("stem.conv", "features.0.0"), ("stem.norm", "features.0.1")]
    layers: list[Place] = list(places(reference.rows))
    for number, place in enumerate(layers, start=1):
        pairs += joined(place.prefix, f"features.{number}", _MOBILENET_PARTS[place.block.op])
    head = f"features.{len(layers) + 1}"
    return [*pairs, ("head.conv", f"{head}.0"), ("head.norm", f"{head}.1"), ("classifier", "classifier.1")]
