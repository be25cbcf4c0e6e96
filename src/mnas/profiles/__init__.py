"""Latencies of a device, predicted from what its layers cost, so that a search need not wait for the device.

`mnas profile` measures one (`mnas.profiling`); `mnas.devices.ProfileDevice` is what a search uses.
"""

from mnas.profiles._choose import choose
from mnas.profiles._model import CostModel, Observation, PartCosts
from mnas.profiles._parts import NETWORK, Part, network_parts, parts
from mnas.profiles._profile import Check, Profile, ProfileError, read_profile, write_profile
from mnas.profiles._shapes import LayerShape, layer_alone, layer_shapes
from mnas.profiles._space import space_shapes

__all__ = [
    "NETWORK",
    "Check",
    "CostModel",
    "LayerShape",
    "Observation",
    "Part",
    "PartCosts",
    "Profile",
    "ProfileError",
    "choose",
    "layer_alone",
    "layer_shapes",
    "network_parts",
    "parts",
    "read_profile",
    "space_shapes",
    "write_profile",
]
