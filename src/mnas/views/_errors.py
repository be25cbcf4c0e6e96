"""What is asked for and is not there."""

from __future__ import annotations

from mnas.errors import MnasError


class NotThereError(MnasError):
    """A run, trial or reference that is asked for by a number that none has."""
