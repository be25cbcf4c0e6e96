"""BrokenImages: files that cannot be read are left out, up to a limit."""

from __future__ import annotations

import logging
from pathlib import Path

from mnas.errors import SettingsError

_log = logging.getLogger("mnas.datasets")
_NAMED = 5  # files that a message names


class BrokenImages:
    """Names and counts the image files of a folder that cannot be read."""

    def __init__(self, folder: Path, files: int, limit: float) -> None:
        """`files`: how many there are; `limit`: the share of them that may be broken."""
        self._folder, self._files, self._limit = folder, files, limit
        self.reasons: dict[Path, str] = {}

    def add(self, path: Path, reason: str) -> None:
        """One more; it is named in the log.

        Raises:
            SettingsError: there are now more than the limit.
        """
        if path in self.reasons:
            return
        self.reasons[path] = reason
        _log.warning("left out, not a readable image: %s (%s)", path, reason)
        if len(self.reasons) > self._limit * self._files:
            named = "\n".join(f"  {file}: {why}" for file, why in list(self.reasons.items())[:_NAMED])
            raise SettingsError(
                f"{len(self.reasons)} of the {self._files} images in {self._folder}, as far as they were read, are "
                f"broken: more than max_broken = {self._limit:g} allows. "
                f"Repair or remove them, or raise max_broken:\n{named}"
            )
