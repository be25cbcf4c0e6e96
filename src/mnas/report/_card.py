"""What the page of a trained model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mnas.detection_scores import DetectionScores
from mnas.objective import Latency
from mnas.result import SearchResult
from mnas.scores import Scores
from mnas.space import Architecture
from mnas.trial import Trial

if TYPE_CHECKING:
    from mnas.export import Exported, ExportedDetector
    from mnas.models import Preprocessing


@dataclass(frozen=True)
class Origin:
    """The trial of a search that a model was trained from."""

    result: SearchResult
    trial: Trial


@dataclass(frozen=True)
class Candidate:
    """One of several trained models of which the best was shipped."""

    label: str  # "trial 17"
    latency: Latency
    accuracy: float | None  # on the validation split, a detector's AP; None: not trained
    note: str = ""  # why it could not be chosen
    is_chosen: bool = False


@dataclass(frozen=True)
class Card:
    """What the page of a model says."""

    title: str
    architecture: Architecture
    class_names: Sequence[str]
    preprocessing: Preprocessing
    training: Mapping[str, Any]  # what it was trained on and how, by name
    curve: Sequence[float] = ()  # validation accuracy, a detector's AP, after each epoch
    scores: Mapping[str, Scores] | Mapping[str, DetectionScores] = field(default_factory=dict)  # by split
    exports: Sequence[Exported] | Sequence[ExportedDetector] = ()
    examples: bytes | None = None  # a JPEG picture of what a detector finds on some validation pictures
    latency: Latency | None = None
    origin: Origin | None = None
    candidates: Sequence[Candidate] = ()
    commands: Sequence[str] = ()  # that make all this again
    notes: Sequence[str] = ()

    @property
    def main(self) -> tuple[str, Scores | DetectionScores] | None:
        """The split whose figures stand first: test where it was scored, else validation."""
        return next(((part, self.scores[part]) for part in ("test", "validation") if part in self.scores), None)
