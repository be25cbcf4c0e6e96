"""Where encoded images lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol


class Source(Protocol):
    """Encoded images by number, wherever they lie."""

    def __len__(self) -> int:
        """How many images."""
        ...

    def open(self, index: int) -> Path | IO[bytes]:
        """The file, or its bytes, of one image."""
        ...

    def name(self, index: int) -> str:
        """What messages call it."""
        ...


class FileSource:
    """One file per image."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def open(self, index: int) -> Path:
        """The file's path."""
        return self._files[index]

    def name(self, index: int) -> str:
        """The file's path."""
        return str(self._files[index])
