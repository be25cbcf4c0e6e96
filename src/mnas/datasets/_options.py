"""What the options of data sets of encoded images may be, and what such data sets are normalised by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mnas.errors import SettingsError

# ImageNet's, per channel; grey images take their average.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_EXPECTED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "resolution": (lambda value: value >= 1, "at least 1 pixel"),
    "channels": (lambda value: value in (1, 3), "1 (grey) or 3 (colour)"),
    "validation": (lambda value: value > 0, "a share below 1 or a number of images, above zero"),
    "test": (lambda value: value > 0, "a share below 1 or a number of images, above zero"),
    "on_fault": (lambda value: value in ("stop", "drop"), "'stop' or 'drop'"),
    "max_broken": (lambda value: 0 <= value <= 1, "a share from 0 to 1"),
    "max_memory_gb": (lambda value: value >= 0, "at least 0"),
    "loader_workers": (lambda value: value >= 0, "at least 0"),
}


def check_options(dataset: object) -> None:
    """Raise SettingsError for the first option, of those that the data set has, whose value cannot be."""
    for name, (holds, words) in _EXPECTED.items():
        if hasattr(dataset, name) and not holds(getattr(dataset, name)):
            raise SettingsError(f"{name} should be {words}, got {getattr(dataset, name)!r}")


def imagenet_mean(channels: int) -> tuple[float, ...]:
    """ImageNet's mean, which is known without reading every image."""
    return _MEAN if channels == 3 else (round(sum(_MEAN) / 3, 6),)


def imagenet_std(channels: int) -> tuple[float, ...]:
    """ImageNet's standard deviation."""
    return _STD if channels == 3 else (round(sum(_STD) / 3, 6),)
