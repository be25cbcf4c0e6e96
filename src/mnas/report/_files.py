"""The files of the page."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def page_files() -> dict[str, bytes]:
    """By name, as they come with the package."""
    folder = files("mnas.report") / "page"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
