"""TrainedModel: a module with all that is needed to use it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mnas.errors import SettingsError
from mnas.models._build import BuiltModel
from mnas.models._detections import Activation
from mnas.models._preprocessing import Preprocessing
from mnas.space import Architecture


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A module, what its outputs mean, what its inputs must be, and where it comes from.

    Raises:
        SettingsError: class names or preprocessing do not fit the architecture, a metric is not a finite number, or
            `made` is not JSON.
    """

    module: BuiltModel
    class_names: tuple[str, ...]  # one per output; of a detector's, background left out
    preprocessing: Preprocessing
    # Several classes may be true of one image (a detector: of one box): a sigmoid per output, not a softmax.
    is_multilabel: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)  # data set, recipe, seed, versions, ...: JSON values

    def __post_init__(self) -> None:
        head, names = self.architecture.head, self.class_names
        if len(names) != head.classes or len(set(names)) != len(names):
            raise SettingsError(f"class_names should be {head.classes} different names, got {_shortly(names)}")
        ours = (self.architecture.resolution, self.architecture.input_channels)
        theirs = (self.preprocessing.resolution, self.preprocessing.channels)
        if ours != theirs:
            raise SettingsError(
                f"preprocessing should give the architecture's resolution and channels {ours}, gives {theirs}"
            )
        if wrong := [name for name, value in self.metrics.items() if not math.isfinite(value)]:
            raise SettingsError(f"metrics should be finite numbers, but {wrong[0]!r} is {self.metrics[wrong[0]]}")
        try:
            json.dumps(dict(self.made), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"made should hold JSON values: {error}") from error

    @property
    def activation(self) -> Activation:
        """What turns the outputs of classes into scores."""
        return "sigmoid" if self.is_multilabel else "softmax"

    @property
    def architecture(self) -> Architecture:
        """The module's."""
        return self.module.architecture


def _shortly(names: tuple[str, ...]) -> str:
    return f"{len(names)}, {len(set(names))} of them different: {', '.join(names[:3])}, ..."
