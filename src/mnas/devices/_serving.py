"""What every process does that is talked to over its standard input: its pipes, messages, an end with its parent."""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Iterator
from typing import IO

from mnas.devices._wire import Header, receive

Message = tuple[Header, list[bytes]]


def private_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes to the parent, moved off the standard descriptors: libraries print to those."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return requests, answers


def messages(requests: IO[bytes]) -> Iterator[Message]:
    """Messages as they come. The process ends with the pipe, in the middle of a measurement too."""
    waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()  # read ahead by a thread that starts now

    def read() -> None:
        try:
            while True:
                waiting.put(receive(requests))
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return iter(waiting.get, None)


def die_with(parent: int | None) -> None:
    """Ends this process with the parent, also where other children of the parent hold the pipe open."""
    if parent is None or not hasattr(os, "pidfd_open"):
        return  # then the end of the pipe has to do
    try:
        descriptor = os.pidfd_open(parent)
    except OSError:
        descriptor = -1
    if os.getppid() != parent:
        os._exit(0)

    def wait() -> None:
        select.select([descriptor], [], [])
        os._exit(0)

    if descriptor >= 0:  # some sandboxes have no such call
        threading.Thread(target=wait, daemon=True).start()
