"""Where the page is served, by which names it may be asked for, and who may ask."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Address:
    """A host to bind to and a port. Beyond the loopback a token is asked for, made here from 256 random bits."""

    host: str = "127.0.0.1"
    port: int = 8642
    token: str | None = field(default=None, repr=False)  # of who asks

    @classmethod
    def at(cls, host: str, port: int) -> Address:
        """The address, with a token where others than this machine reach it."""
        return cls(host, port, None if is_loopback(host) else secrets.token_urlsafe(32))

    @property
    def hosts(self) -> frozenset[str]:
        """The names in the Host header that are ours, in lower case, IPv6 in brackets."""
        if is_loopback(self.host):
            return frozenset((*LOOPBACK, _bracketed(self.host)))
        own = (socket.gethostname(), socket.getfqdn()) if is_wildcard(self.host) else ()
        return frozenset(name.lower() for name in (*LOOPBACK, _bracketed(self.host), *own) if name)

    @property
    def url(self) -> str:
        """What to open in a browser."""
        host = socket.gethostname() if is_wildcard(self.host) else _bracketed(self.host)
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound there."""
    address = _ip(host)
    return address.is_loopback if address else host.lower() == "localhost"


def is_wildcard(host: str) -> bool:
    """Whether it means every address of this machine."""
    address = _ip(host)
    return address.is_unspecified if address else host == ""


def is_ip(host: str) -> bool:
    """Whether a name is an address, in which case no DNS server can have made it ours."""
    return _ip(host) is not None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _bracketed(host: str) -> str:
    address = _ip(host)
    return f"[{address}]" if address and address.version == 6 else host
