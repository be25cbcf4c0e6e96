"""The server of the page."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from mnas.board._address import Address
from mnas.board._app import create_app
from mnas.errors import SettingsError, needs_extra

try:
    import uvicorn
except ImportError as error:
    raise needs_extra("uvicorn", "board") from error


def serve(folders: Sequence[Path], address: Address, say: Callable[[str], None]) -> None:
    """Serve these run folders until Ctrl-C; see `mnas.board.serve`."""
    listening = _bound(address)
    say(f"mnas board: {address.url}")
    app = create_app(folders, address.token, address.hosts)
    # The access log would have tokens in it. h11 refuses what is longer than 64 KB before anything is parsed.
    config = uvicorn.Config(
        app, http="h11", ws="none", log_level="warning", access_log=False, server_header=False, timeout_keep_alive=30
    )
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _bound(address: Address) -> socket.socket:
    """A socket that listens; made here, so that a port in use is one sentence and no stack of calls."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would let others listen there too
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host.strip("[]"), address.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"cannot listen on {address.host} port {address.port}: {error.strerror or error}. Name another port with "
            "--port, or stop what listens there"
        ) from error
    return listening
