"""The page of runs, served: `mnas board RUN [RUN ...]`.

A room of its own because it listens on a port, which nothing else in mnas does. It reads run folders beside the
searches that write them (`mnas.views`) and changes nothing; what it lets through is in `_guard.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnas.board._address import Address

if TYPE_CHECKING:
    from fastapi import FastAPI

# FastAPI takes a moment to import, and comes with an extra.
__all__ = ["Address", "create_app", "serve"]


def create_app(folders: Sequence[Path], token: str | None = None, hosts: Collection[str] | None = None) -> FastAPI:
    """The application that answers for these run folders.

    `token` has to be given by who asks, None: by nobody. `hosts` are the names that it may be asked by, by default
    those of the loopback.

    Raises:
        SettingsError: the extra is not installed.
    """
    from mnas.board._app import create_app as create

    return create(folders, token, hosts)


def serve(folders: Sequence[Path], address: Address, say: Callable[[str], None] = lambda line: None) -> None:
    """Serve these run folders until Ctrl-C; `say` is told what to open, once somebody listens there.

    Raises:
        SettingsError: the extra is not installed, or the port cannot be had.
    """
    from mnas.board._serve import serve as run

    run(folders, address, say)
