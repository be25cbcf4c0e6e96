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
    from mnas.detection_scores import Detections
    from mnas.models._build import BuiltModel, build
    from mnas.models._default_boxes import default_boxes
    from mnas.models._detections import Activation, decode_boxes, detections_of, encode_boxes
    from mnas.models._detector import Detector, build_detector
    from mnas.models._model_file import load_model, save_model
    from mnas.models._network import Network, build_model
    from mnas.models._preprocessing import Preprocessing
    from mnas.models._published import is_published, load_published
    from mnas.models._timm import load_timm
    from mnas.models._torchvision_weights import load_torchvision
    from mnas.models._trained_model import TrainedModel
    from mnas.models._weights import load_detector_weights, load_weights

__all__ = [
    "Activation",
    "BuiltModel",
    "Detections",
    "Detector",
    "Network",
    "Preprocessing",
    "TrainedModel",
    "build",
    "build_detector",
    "build_model",
    "decode_boxes",
    "default_boxes",
    "detections_of",
    "encode_boxes",
    "import_torchvision",
    "is_published",
    "load_detector_weights",
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
    "Activation": "mnas.models._detections",
    "BuiltModel": "mnas.models._build",
    "Detector": "mnas.models._detector",
    "Detections": "mnas.detection_scores",
    "Network": "mnas.models._network",
    "Preprocessing": "mnas.models._preprocessing",
    "TrainedModel": "mnas.models._trained_model",
    "build": "mnas.models._build",
    "build_detector": "mnas.models._detector",
    "build_model": "mnas.models._network",
    "default_boxes": "mnas.models._default_boxes",
    "decode_boxes": "mnas.models._detections",
    "detections_of": "mnas.models._detections",
    "encode_boxes": "mnas.models._detections",
    "import_torchvision": "mnas._torchvision",
    "is_published": "mnas.models._published",
    "load_detector_weights": "mnas.models._weights",
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
