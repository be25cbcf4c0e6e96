"""The page's files, read once into a fixed table: a request's path is looked up there and is never a file's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

from mnas.report import page_files

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True)
class PageFile:
    """A file of the page, as it is sent."""

    body: bytes
    type: str
    etag: str


@cache
def served_files() -> dict[str, PageFile]:
    """By path, from "/page.css" on; the page itself is "/"."""
    found = {}
    for name, body in page_files().items():
        kind = _TYPES.get(name[name.rfind(".") :])
        if kind is not None:
            path = "/" if name == "index.html" else f"/{name}"
            found[path] = PageFile(body, kind, f'"{hashlib.sha256(body).hexdigest()[:24]}"')
    return found
