"""Weights of other libraries into ours: names of parts, checks with clear errors, the copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from mnas.errors import SettingsError
from mnas.models._network import Network, build_model
from mnas.space import Architecture, Block

StateDict = Mapping[str, torch.Tensor]
Pair = tuple[str, str]  # a part's name here and there: ("stem.conv", "conv_stem")


@dataclass(frozen=True)
class Place:
    """Where a layer of ours stands in a table of rows: `row` and `repeat`, both from zero."""

    prefix: str
    block: Block
    row: int
    repeat: int


def places(rows: Iterable[Block]) -> Iterator[Place]:
    """One place per layer, in order. Rows, not an architecture's blocks: those may have grown together."""
    number = 0
    for row, block in enumerate(rows):
        for repeat in range(block.layers):
            yield Place(f"layers.{number}.body", block, row, repeat)
            number += 1


def joined(ours: str, theirs: str, names: Mapping[str, str]) -> list[Pair]:
    """Pairs of full names from pairs of names within a layer."""
    return [(f"{ours}.{name}", f"{theirs}.{other}") for name, other in names.items()]


def load_pairs(architecture: Architecture, pairs: Iterable[Pair], weights: StateDict, source: str) -> Network:
    """The architecture's network with these weights, in evaluation mode.

    Raises:
        SettingsError: keys are missing, left over, or of another shape; the first ones are named.
    """
    network = build_model(architecture, seed=0)
    theirs_of = dict(pairs)
    found: dict[str, torch.Tensor] = {}
    missing, misshapen, used = [], [], set()
    for key, ours in network.state_dict().items():
        part, leaf = key.rsplit(".", 1)
        their_key = f"{theirs_of[part]}.{leaf}"
        used.add(their_key)
        if their_key not in weights:
            # Old files lack the counter of batches, which only a momentum of None would read.
            if leaf != "num_batches_tracked":
                missing.append(their_key)
        elif not _fits(weights[their_key], ours):
            misshapen.append(f"{their_key} {tuple(weights[their_key].shape)} instead of {tuple(ours.shape)}")
        else:
            found[key] = weights[their_key].reshape(ours.shape)
    _complain(source, missing, [key for key in weights if key not in used], misshapen)
    network.load_state_dict(found, strict=False)
    return network.eval()


def shape_of(weights: StateDict, key: str, dimensions: int, source: str) -> torch.Size:
    """The shape of a weight that must be there."""
    if key not in weights:
        _complain(source, [key], [], [])
    if weights[key].dim() != dimensions:
        _complain(source, [], [], [f"{key} {tuple(weights[key].shape)} instead of {dimensions} dimensions"])
    return weights[key].shape


def _fits(theirs: torch.Tensor, ours: torch.Tensor) -> bool:
    """Equal shapes, but for the trailing ones of a 1x1 convolution that is a fully connected layer here."""
    return theirs.shape == ours.shape or (ours.dim() == 2 and theirs.shape == (*ours.shape, 1, 1))


def _complain(source: str, missing: list[str], extra: list[str], misshapen: list[str]) -> None:
    troubles = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for what, keys in (("missing", missing), ("not of this model", extra), ("of another shape", misshapen))
        if keys
    ]
    if troubles:
        raise SettingsError(f"these weights are not a state dict of {source}: {'; '.join(troubles)}")
