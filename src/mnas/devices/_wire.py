"""Messages over a pipe: a header of JSON values, then any number of byte strings.

No pickle: what reads here may one day talk to a machine that is not trusted as far as this process is.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_LENGTH = struct.Struct("<Q")

Header = dict[str, Any]


def send(stream: IO[bytes], header: Header, *parts: bytes) -> None:
    """Writes one message.

    Raises:
        OSError: nobody reads any more.
    """
    text = json.dumps({"header": header, "sizes": [len(part) for part in parts]}).encode()
    for data in (_LENGTH.pack(len(text)), text, *parts):
        stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[Header, list[bytes]]:
    """Reads one message.

    Raises:
        EOFError: the other end closed, between messages or within one.
    """
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    message = json.loads(_exactly(stream, length))
    return message["header"], [_exactly(stream, size) for size in message["sizes"]]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)  # a buffered stream reads it all, or to the end
    if len(data) < size:
        raise EOFError("the other end closed the pipe")
    return data
