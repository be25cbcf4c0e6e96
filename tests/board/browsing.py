"""A server of runs and a browser that looks at it, which minds errors and requests elsewhere."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def served(*folders: Path) -> Iterator[str]:
    """The address of a server of these runs, which ends with the block."""
    uvicorn = pytest.importorskip("uvicorn", reason="the server needs mnas[board]")
    from mnas.board import create_app

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(folders), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serves runs until the test ends; gives the address."""
    with ExitStack() as stack:
        yield lambda *folders: stack.enter_context(served(*folders))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium of this machine."""
    program = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(_BROWSERS)} is on the path")
    playwright = pytest.importorskip("playwright.sync_api", reason="pages are looked at with playwright")
    with playwright.sync_playwright() as found:
        started = found.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, and at the end asks that none had an error or a request to another host.

    `look(url, width=390, allowed=("409",))` gives the page; lines of its console that hold what is allowed are no
    errors.
    """
    errors: list[str] = []

    def opened(
        url: str, *, width: int = 1280, height: int = 800, allowed: tuple[str, ...] = (), **options: Any
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        stack.callback(context.close)
        page = context.new_page()
        page.set_default_timeout(20_000)

        def note(kind: str, text: str) -> None:
            if not any(word in text for word in allowed):
                errors.append(f"{kind}: {text}")

        page.on("console", lambda line: note(line.type, line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: note("script", f"{error}\n{error.stack}"))
        here = url.split("/")[2]
        page.on("request", lambda request: _mind(request.url, here, errors))
        page.goto(url)
        return page

    with ExitStack() as stack:
        yield opened
    assert errors == []


def _mind(url: str, here: str, errors: list[str]) -> None:
    """Note a request that leaves the host; what a page holds itself is none."""
    if not url.startswith(("data:", "blob:")) and url.split("/")[2] != here:
        errors.append(f"request to another host: {url}")
