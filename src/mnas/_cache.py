"""The folder of what can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where conversions, turns, downloads and indices are kept: $MNAS_CACHE, else mnas in the user's cache folder."""
    if chosen := os.environ.get("MNAS_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mnas"
