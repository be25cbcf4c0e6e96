"""SearchView: how a search went, and what its controller came to prefer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from mnas.space import Choice
from mnas.storage import RunStorage
from mnas.views._columns import TrialColumns
from mnas.views._models import Preference
from mnas.views._running_front import RunningFront

_MOST_STEPS = 60
_LEAST_WINDOW = 20
_T = TypeVar("_T")


def reference_point(reach_ms: Sequence[float] | None) -> list[float] | None:
    """Of a run's hypervolume: a tenth beyond the slowest network that was found at the beginning, accuracy 0.

    It is fixed before the first trial, so that a hypervolume never changes its meaning within a run.
    """
    return [1.1 * reach_ms[1], 0.0] if reach_ms and reach_ms[1] > 0 else None


def series(columns: TrialColumns, point: list[float] | None) -> dict[str, Any]:
    """Reward, best reward, hypervolume and distinct networks after each trial, in the order they finished."""
    order = sorted(range(len(columns)), key=lambda place: (columns.finished[place], columns.number[place]))
    front, best, seen, area = RunningFront(), None, 0, 0.0
    found: dict[str, Any] = {
        name: [] for name in ("numbers", "finished", "reward", "best_reward", "hypervolume", "distinct")
    }
    for place in order:
        state, is_cached, reward = columns.state[place], columns.cached[place], columns.reward[place]
        seen += state in ("COMPLETE", "STOPPED") and not is_cached
        if columns.stands(place):
            best = reward if best is None else max(best, reward)
            latency, accuracy = columns.latency_ms[place], columns.accuracy[place]
            if not is_cached and latency is not None and accuracy is not None:
                changed = front.add(latency, accuracy, columns.number[place])
                area = front.hypervolume(point[0]) if changed and point else area
        found["numbers"].append(columns.number[place])
        found["finished"].append(columns.finished[place])
        found["reward"].append(reward if state == "COMPLETE" else None)
        found["best_reward"].append(best)
        found["hypervolume"].append(area)
        found["distinct"].append(seen)
    return found


def preferences(columns: TrialColumns, choices: tuple[Choice, ...], storage: RunStorage) -> list[Preference]:
    """What the controller preferred for each choice, over the search: as it said, or as its proposals show."""
    said = _said(choices, storage)
    return said if said else _shown(columns, choices)


def window_of(count: int) -> int:
    """How many trials a row of shares is of."""
    return max(_LEAST_WINDOW, count // 10)


def optimum(columns: TrialColumns, distinct_size: int | None) -> float | None:
    """The best reward there is, once every network of the space was evaluated."""
    if distinct_size is None or columns.best is None:
        return None
    fresh = [place for place in range(len(columns)) if not columns.cached[place]]
    tried = {columns.architecture_id[place] for place in fresh if columns.state[place] in ("COMPLETE", "INFEASIBLE")}
    return columns.reward[columns.places[columns.best]] if len(tried) >= distinct_size else None


def _said(choices: tuple[Choice, ...], storage: RunStorage) -> list[Preference]:
    """From the probabilities that the controller gave when it was told; none where it gives none."""
    positions = _spread(storage.told_positions())
    bodies = storage.told([position for position, _ in positions])
    rows = [body.get("probabilities") if isinstance(body, dict) else None for body in bodies]
    known = [(number, row) for (_, number), row in zip(positions, rows, strict=True) if isinstance(row, dict)]
    return [
        Preference(
            choice=choice.name,
            options=[str(option) for option in choice.options],
            steps=[number for number, row in known if choice.name in row],
            probabilities=[row[choice.name] for _, row in known if choice.name in row],
            source="policy",
        )
        for choice in choices
        if known
    ]


def _shown(columns: TrialColumns, choices: tuple[Choice, ...]) -> list[Preference]:
    """Shares of the options among the trials before each step, by number."""
    import numpy as np

    places = [columns.places[number] for number in sorted(columns.places)]
    if not places:
        return []
    window = window_of(len(places))
    ends = _spread(list(range(min(window, len(places)), len(places) + 1)))
    starts = [max(0, end - window) for end in ends]
    tokens = np.array([columns.tokens[place] for place in places])  # (trials, choices)
    steps = [columns.number[places[end - 1]] for end in ends]
    found = []
    for index, choice in enumerate(choices):
        is_chosen = tokens[:, index, None] == np.arange(len(choice.options))
        counts = np.concatenate([np.zeros((1, len(choice.options)), int), is_chosen.cumsum(0)])
        shares = (counts[ends] - counts[starts]) / np.subtract(ends, starts)[:, None]
        found.append(
            Preference(
                choice=choice.name,
                options=[str(option) for option in choice.options],
                steps=steps,
                probabilities=shares.round(4).tolist(),
                source="trials",
            )
        )
    return found


def _spread(values: Sequence[_T]) -> list[_T]:
    """At most so many of them, evenly, the last one among them."""
    if len(values) <= _MOST_STEPS:
        return list(values)
    step = (len(values) - 1) / (_MOST_STEPS - 1)
    return [values[round(index * step)] for index in range(_MOST_STEPS)]
