"""What a person types: `mnas search`, `mnas resume`, `mnas show`, `mnas front`, `mnas measure`, ..."""

from mnas.cli._app import main

__all__ = ["main"]
