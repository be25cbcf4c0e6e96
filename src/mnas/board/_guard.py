"""What comes through to the application, and with which headers its answers leave.

- It is read: nothing but GET and HEAD.
- The Host header must be one of ours. Else a page of another site could have its own name resolved to this address
  (DNS rebinding) and would be allowed to read what we answer.
- Requests that a page of another site makes are refused where browsers say so (Sec-Fetch-Site); opening ours is not.
- Where there is a token it is asked for, as a cookie that the first page sets, or as a bearer. It is compared in
  constant time, and is in no log: uvicorn's access log, which has query strings, is off.
- Scripts, styles and connections come from here alone; the page is in nobody's frame.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnas.board._address import is_ip

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_LONGEST = 4096  # bytes of path and query together; the page's own are below a hundred
_OURS = ("same-origin", "none")  # sites that requests come from; "none": typed, or from a bookmark


class Guard:
    """ASGI middleware around an application.

    `hosts` are names in lower case, with brackets around IPv6; with `any_ip` every address will do, for a server that
    is bound to all of this machine's.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str | None, any_ip: bool = False) -> None:
        self._app, self._hosts, self._any_ip = app, frozenset(hosts), any_ip
        self._token = token.encode() if token else None
        # Named by the token: cookies know no ports, and several boards on one host must not share one.
        self._cookie = f"mnas-board-{hashlib.sha256(self._token or b'').hexdigest()[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # a websocket is not accepted
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        guarded = _with_headers(send)
        refusal = self._refusal(scope, headers, query)
        if refusal is not None:
            await _answer(guarded, *refusal)
        elif self._token and "token" in parse_qs(query):
            await self._enter(guarded)
        elif scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _without_body(guarded))
        else:
            await self._app(scope, receive, guarded)

    def _refusal(
        self, scope: Scope, headers: Mapping[str, str], query: str
    ) -> tuple[HTTPStatus, str, dict[str, str]] | None:
        """Why a request is not answered, None if it is."""
        if len(scope.get("raw_path", b"")) + len(query) > _LONGEST:
            return HTTPStatus.REQUEST_URI_TOO_LONG, f"addresses have at most {_LONGEST} bytes here", {}
        if not self._is_ours(headers.get("host", "")):
            return HTTPStatus.FORBIDDEN, "this page is not served under that host name", {}
        if scope["method"] not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, "everything here is only read: GET or HEAD", {"allow": "GET, HEAD"}
        if headers.get("sec-fetch-site", "none") not in _OURS and not _is_opening(scope, headers):
            return HTTPStatus.FORBIDDEN, "pages of other sites are not answered", {}
        if self._token and not self._has_token(headers, query):
            return (
                HTTPStatus.UNAUTHORIZED,
                "open the address that mnas board printed, which ends in a token",
                {"www-authenticate": "Bearer"},
            )
        return None

    def _is_ours(self, host: str) -> bool:
        name = _without_port(host.strip().lower())
        return name in self._hosts or (self._any_ip and is_ip(name))

    def _has_token(self, headers: Mapping[str, str], query: str) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = [bearer] if scheme.lower() == "bearer" else []
        given += parse_qs(query).get("token", []) + self._cookies(headers.get("cookie", ""))
        return any(hmac.compare_digest(one.strip().encode(), self._token or b"") for one in given[:8])

    async def _enter(self, send: Send) -> None:
        """Put the token into a cookie and leave it out of the address, which is seen and kept in more places."""
        cookie = f"{self._cookie}={(self._token or b'').decode()}; HttpOnly; SameSite=Lax; Path=/"
        await _answer(send, HTTPStatus.SEE_OTHER, "go on without it", {"location": "/", "set-cookie": cookie})

    def _cookies(self, header: str) -> list[str]:
        """The values of our cookie. Not by http.cookies, which gives up where another one of this host is odd."""
        pairs = (pair.strip().partition("=") for pair in header.split(";"))
        return [value for name, _, value in pairs if name == self._cookie]


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            added = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in present]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return sending


def _without_body(send: Send) -> Send:
    async def sending(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return sending


async def _answer(send: Send, status: HTTPStatus, detail: str, headers: Mapping[str, str]) -> None:
    body = json.dumps({"detail": detail}).encode()
    plain = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in plain.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _is_opening(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Whether somebody follows a link to the page from elsewhere."""
    return headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/"


def _without_port(host: str) -> str:
    """`[::1]:8642` is `[::1]`, `localhost:9000` (as behind ssh -L) is `localhost`."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.rpartition(":")[0] if ":" in host else host
