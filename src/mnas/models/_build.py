"""The module of an architecture, whatever its head."""

from __future__ import annotations

from mnas.models._detector import Detector, build_detector
from mnas.models._network import Network, build_model
from mnas.space import Architecture

BuiltModel = Network | Detector


def build(architecture: Architecture, *, seed: int | None = None) -> BuiltModel:
    """A classifier by `build_model`, or a detector by `build_detector`."""
    return (build_detector if architecture.is_detector else build_model)(architecture, seed=seed)
