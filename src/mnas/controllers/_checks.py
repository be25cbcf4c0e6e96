"""What every controller checks of what it is given: its space, its settings, the rewards it is told."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mnas.errors import SettingsError
from mnas.space import SearchSpace
from mnas.trial import Trial


def check_space(space: SearchSpace) -> None:
    """Raise SettingsError for a space in which nothing is open."""
    if not any(len(choice.options) > 1 for choice in space.choices):
        raise SettingsError(
            f"space {space.name!r} should leave something to choose, but none of its {len(space.choices)} "
            "choices has two options: give one of its blocks more options"
        )


def check_whole(name: str, value: object, low: int = 1) -> None:
    """Raise SettingsError unless the setting is a whole number from `low` on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise SettingsError(f"{name} should be a whole number from {low}, got {value!r}")


def check_number(
    name: str, value: object, low: float, high: float = math.inf, *, low_open: bool = False, high_open: bool = False
) -> None:
    """Raise SettingsError unless the setting is a finite number of the range; an open end is left out."""
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    above = number > low if low_open else number >= low
    below = number < high if high_open else number <= high
    if not (above and below and math.isfinite(number)):
        bounds = [f"{'above' if low_open else 'at least'} {low:g}"]
        bounds += [f"{'below' if high_open else 'at most'} {high:g}"] if math.isfinite(high) else []
        raise SettingsError(f"{name} should be a number {' and '.join(bounds)}, got {value!r}")


def rewards_of(trials: Sequence[Trial]) -> list[float]:
    """The rewards of trials, all finite: one that is not would spoil all that was learnt before."""
    for trial in trials:
        if not math.isfinite(trial.reward):
            raise ValueError(
                f"a controller learns from finite rewards, trial {trial.number} ({trial.state}) has "
                f"{trial.reward}: make the objective's reward and failure_reward finite"
            )
    return [trial.reward for trial in trials]
