"""A page as PDF, printed by a browser that is on this machine: what draws the page for people draws it on paper."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mnas.errors import SettingsError, StopError

_VARIABLE = "MNAS_BROWSER"
_NAMES = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
    "microsoft-edge-stable", "msedge",
)  # fmt: skip
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
_DRAWN_MS = 20_000  # of the page's own clock, within which its charts are there; it is not waited for that long
_PATIENCE_S = 180.0


def print_pdf(page: str) -> bytes:
    """The PDF of an HTML page.

    Raises:
        SettingsError: there is no browser to print with.
        StopError: it did not print.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="mnas-pdf-") as place:
        source, target = Path(place) / "report.html", Path(place) / "report.pdf"
        source.write_text(page, encoding="utf-8")
        said = _print(browser, source, target, Path(place) / "profile")
        if not target.is_file():
            raise StopError(f"{browser} wrote no PDF; it said: {said[-400:].strip() or 'nothing'}")
        return target.read_bytes()


def find_browser() -> str:
    """Chromium, Chrome or Edge: the one that MNAS_BROWSER names, else one that is found.

    Raises:
        SettingsError: there is none.
    """
    named = os.environ.get(_VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise SettingsError(f"{_VARIABLE} should name a browser's program that is there, got {named!r}")
        return found
    for place in _candidates():
        return place
    raise SettingsError(
        "a PDF is printed by Chromium, Chrome or Edge, and none was found: install one (Debian: apt install "
        f"chromium), name its program in {_VARIABLE}, or write --to html and print that in any browser"
    )


def _candidates() -> Iterator[str]:
    yield from (found for name in _NAMES if (found := shutil.which(name)))
    yield from (place for place in _PLACES if Path(place).is_file())


def _print(browser: str, source: Path, target: Path, profile: Path) -> str:
    """What the browser said while it printed."""
    command = [
        browser, "--headless", "--disable-gpu", "--disable-extensions", "--no-first-run", "--hide-scrollbars",
        "--no-pdf-header-footer", f"--virtual-time-budget={_DRAWN_MS}", f"--user-data-dir={profile}",
        f"--print-to-pdf={target}", source.as_uri(),
    ]  # fmt: skip
    if sys.platform == "linux" and os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium's sandbox does not work for root, who has no less without it
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StopError(f"{browser} did not print the report: {error}") from error
    return done.stdout + done.stderr
