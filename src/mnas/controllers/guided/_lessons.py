"""Lessons: what trials of every state taught, and which of them a fit takes when there are many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.special import ndtr

from mnas.trial import Trial, TrialState

_FIRST, _LATEST = 100, 150  # of many lessons a fit takes the first, the latest, and the best up to `most`


@dataclass(frozen=True)
class Lesson:
    """What one network taught: a value per target, None where nothing, and the variance beyond the common noise."""

    trial: Trial
    values: tuple[float | None, ...]
    extra: tuple[float, ...]
    is_own: bool = True  # False for what a search started from

    @property
    def is_whole(self) -> bool:
        """Whether it is a network of this search that was trained and measured."""
        return self.is_own and self.trial.state is TrialState.COMPLETE and None not in self.values


def selected(lessons: Sequence[Lesson], most: int, best: Iterable[str]) -> list[Lesson]:
    """At most `most` lessons: the first, the latest, the networks named best, then the latest of the others."""
    if len(lessons) <= most:
        return list(lessons)
    places = {lesson.trial.architecture.id: place for place, lesson in enumerate(lessons)}
    chosen = set(range(_FIRST)) | set(range(len(lessons) - _LATEST, len(lessons)))
    for name in best:
        if len(chosen) < most and name in places:
            chosen.add(places[name])
    for place in range(len(lessons) - _LATEST - 1, -1, -1):
        if len(chosen) >= most:
            break
        chosen.add(place)
    return [lessons[place] for place in sorted(chosen)]


def below(mean: float, sd: float, ceiling: float) -> tuple[float, float]:
    """Mean and variance of a normal value that is known to lie below a ceiling.

    This is how a STOPPED trial is read: its last accuracy is not its final one, but stopping says that the final
    one would not have reached the front.
    """
    scaled = (ceiling - mean) / sd
    if scaled < -8:  # far below all that was expected: the tail's own scale
        return ceiling, sd**2 / scaled**2
    ratio = math.exp(-0.5 * scaled**2) / math.sqrt(2 * math.pi) / float(ndtr(scaled))
    return mean - sd * ratio, sd**2 * max(1 - scaled * ratio - ratio**2, 1e-6)
