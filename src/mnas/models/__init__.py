"""Architecture -> torch module: the builder, the reference models and the weights of others.

References are architectures without weights and need no torch; what needs it is loaded when first named.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.models._padding import pads
from mnas.models._reference import reference_architecture, reference_names

if TYPE_CHECKING:
    from mnas._torchvision import import_torchvision
    from mnas.models._model_file import load_model, save_model
    from mnas.models._network import Network, build_model
    from mnas.models._preprocessing import Preprocessing
    from mnas.models._published import is_published, load_published
    from mnas.models._timm import load_timm
    from mnas.models._torchvision_weights import load_torchvision
    from mnas.models._trained_model import TrainedModel
    from mnas.models._weights import load_weights

__all__ = [
    "Network",
    "Preprocessing",
    "TrainedModel",
    "build_model",
    "import_torchvision",
    "is_published",
    "load_model",
    "load_published",
    "load_timm",
    "load_torchvision",
    "load_weights",
    "pads",
    "reference_architecture",
    "reference_names",
    "save_model",
]

_HOMES = {
    "Network": "mnas.models._network",
    "Preprocessing": "mnas.models._preprocessing",
    "TrainedModel": "mnas.models._trained_model",
    "build_model": "mnas.models._network",
    "import_torchvision": "mnas._torchvision",
    "is_published": "mnas.models._published",
    "load_model": "mnas.models._model_file",
    "load_published": "mnas.models._published",
    "load_timm": "mnas.models._timm",
    "load_torchvision": "mnas.models._torchvision_weights",
    "load_weights": "mnas.models._weights",
    "save_model": "mnas.models._model_file",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
