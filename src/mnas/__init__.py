"""mnas: open, hardware-aware neural architecture search.

    import mnas

    result = mnas.search(space={"name": "mnasnet", "width": 0.35, "resolution": 32}, dataset="digits", trials=60)
    print(result.best.architecture)

Importing mnas imports neither torch nor anything else that is heavy; parts come in when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnas.errors import (
    CandidateError,
    DeviceError,
    MeasurementError,
    MnasError,
    SettingsError,
    StopError,
    StorageError,
    TrainingError,
)

if TYPE_CHECKING:
    from mnas.folder import load_result
    from mnas.objective import AbsoluteReward, Caps, Latency, Measurement, Objective, WeightedProduct
    from mnas.pareto import hypervolume, pareto_front
    from mnas.result import SearchResult
    from mnas.run import search
    from mnas.space import Architecture, Block, BlockSpace, Choice, SearchSpace
    from mnas.trial import Proposal, Trial, TrialState

_HOMES = {
    "search": "run",
    "load_result": "folder",
    "SearchResult": "result",
    **dict.fromkeys(
        ("AbsoluteReward", "Caps", "Latency", "Measurement", "Objective", "WeightedProduct"), "objective"
    ),
    **dict.fromkeys(("Architecture", "Block", "BlockSpace", "Choice", "SearchSpace"), "space"),
    **dict.fromkeys(("Proposal", "Trial", "TrialState"), "trial"),
    **dict.fromkeys(("hypervolume", "pareto_front"), "pareto"),
}

__version__ = "0.1.0"

__all__ = [
    "AbsoluteReward",
    "Architecture",
    "Block",
    "BlockSpace",
    "CandidateError",
    "Caps",
    "Choice",
    "DeviceError",
    "Latency",
    "Measurement",
    "MeasurementError",
    "MnasError",
    "Objective",
    "Proposal",
    "SearchResult",
    "SearchSpace",
    "SettingsError",
    "StopError",
    "StorageError",
    "TrainingError",
    "Trial",
    "TrialState",
    "WeightedProduct",
    "hypervolume",
    "load_result",
    "pareto_front",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnas' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mnas.{_HOMES[name]}"), name)
