"""A latency and the conditions of its measurement, in a few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mnas.objective import Latency

_MOST_TEXTS = 3  # of a condition
_UNSAID = ("devices", "notes", "model_bytes", "architecture")  # said elsewhere, or too long for a word


def conditions(environment: Mapping[str, Any]) -> dict[str, str]:
    """Of a latency, each in a few words; what was measured has every number."""
    told = {key.replace("_", " "): _told(value) for key, value in environment.items() if key not in _UNSAID}
    return {key: words for key, words in told.items() if words}


def _told(value: Any) -> str:
    """Numbers with four digits, of many the least and the greatest, of many texts those that come most often."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        told = {key: _told(each) for key, each in value.items() if key not in _UNSAID}
        return ", ".join(f"{key.replace('_', ' ')} {words}" for key, words in told.items() if words)
    if isinstance(value, list | tuple):
        return _told_together([each for each in _flat(value) if each is not None])
    return str(value)


def _flat(values: Sequence[Any]) -> list[Any]:
    return [each for value in values for each in (_flat(value) if isinstance(value, list | tuple) else [value])]


def _told_together(values: Sequence[Any]) -> str:
    if not values:
        return ""
    if all(isinstance(value, int | float) for value in values):
        low, high = _told(min(values)), _told(max(values))
        return low if low == high else f"{low} to {high}"
    often = Counter(map(_told, values)).most_common(_MOST_TEXTS)
    rest = len(values) - sum(count for _, count in often)
    texts = [f"{text} ({count} times)" if count > 1 else text for text, count in often]
    return "; ".join(texts + ([f"and {rest} more"] if rest else []))


def with_interval(latency: Latency | None) -> str:
    """A latency in ms with its interval, for a table; nothing where there is none."""
    return f"{latency.latency_ms:.4g} ({latency.low_ms:.4g} - {latency.high_ms:.4g})" if latency else ""
