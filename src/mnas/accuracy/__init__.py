"""Architecture -> accuracy, in minutes where the full training takes days."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.accuracy._contract import (
    AccuracyEstimate,
    AccuracyEstimator,
    StopBelow,
    StoppableEstimator,
    is_stoppable,
)
from mnas.accuracy._detection import DetectionProxy
from mnas.accuracy._interval import binomial_interval
from mnas.accuracy._proxy import ProxyTask, Retrained, retrain
from mnas.accuracy._simulated import SimulatedAccuracy

if TYPE_CHECKING:
    from mnas.accuracy._surrogate import SurrogateAccuracy

__all__ = [
    "AccuracyEstimate",
    "AccuracyEstimator",
    "DetectionProxy",
    "ProxyTask",
    "Retrained",
    "SimulatedAccuracy",
    "StopBelow",
    "StoppableEstimator",
    "SurrogateAccuracy",
    "binomial_interval",
    "is_stoppable",
    "retrain",
]


def __getattr__(name: str) -> Any:
    if name == "SurrogateAccuracy":  # needs numpy
        return importlib.import_module("mnas.accuracy._surrogate").SurrogateAccuracy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
