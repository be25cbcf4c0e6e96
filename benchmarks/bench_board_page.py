"""How fast the page is with ten thousand trials, in a Chromium of this machine.

    python benchmarks/bench_board_page.py

Opening is from the request of the page until the trials stand in the picture, with a server that has read the run and
with one that has not. An interaction is from the event until the frame that shows its effect is painted. The Search
view draws piece by piece when it is first opened; its longest frame is for how long the page did not answer
meanwhile. The window has 1440 x 900 pixels and is drawn without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import uvicorn
from board_runs import large_run
from playwright.sync_api import Browser, Page, sync_playwright

from mnas.board import create_app

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_DRAWN = "() => window.mnas?.store?.current?.loaded && mnas.views.front.picture?.map"
# Milliseconds from an event until the frame that shows what it did is painted.
_TIMED = """
async () => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }));
  await painted();
  const began = performance.now();
  ACT;
  await painted();
  return performance.now() - began;
}
"""
# The same of the Search view in a new page: until it is painted, its longest frame, and until all of it is drawn.
_FIRST_SEARCH = """
async () => {
  const began = performance.now();
  let first = null, last = began, longest = 0;
  go('search');
  while (!document.querySelector('#importance table')) {
    const now = await new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))));
    first ??= now;
    longest = Math.max(longest, now - last);
    last = now;
  }
  return [first - began, longest, last - began];
}
"""
_CANVAS = "document.querySelector('#chart-front canvas:not(.points-layer)')"
# By name: the view it happens in, and what happens; REPEAT is the number of the repeat.
_ACTS = {
    "point at a network": ("front", "pointer('mousemove', 300 + 37 * REPEAT, 150 + 11 * REPEAT)"),
    "leave out a state, take it in": ("front", "document.querySelector('[data-group=stopped]').click()"),
    "axis to logarithm and back": (
        "front",
        "document.querySelector(`[data-axis=x][data-scale=${REPEAT % 2 ? 'linear' : 'log'}]`).click()",
    ),
    "select by a rectangle": (
        "front",
        "pointer('mousedown', 200, 60 + REPEAT); pointer('mousemove', 700, 250); pointer('mouseup', 700, 250)",
    ),
    "filter trials by text": (
        "trials",
        "const field = document.querySelector('#trials-text'); field.value = ['box', '4', 'complete'][REPEAT % 3]; "
        "field.dispatchEvent(new Event('input'))",
    ),
    "sort trials": (
        "trials",
        "document.querySelector(`[data-panel=trials] [data-key=${['reward', 'latency_ms'][REPEAT % 2]}]`).click()",
    ),
    "scroll trials": (
        "trials",
        "document.querySelector('#trials-table .virtual-box').scrollTop = 9000 * (REPEAT + 1)",
    ),
    "open Front": ("trials", "go('front')"),
    "open Search": ("trials", "go('search')"),
    "open Trials": ("front", "go('trials')"),
    "open Overview": ("trials", "go('overview')"),
    "open Machine room": ("trials", "go('machines')"),
}
_HELP = f"""
window.pointer = (kind, x, y) => {{
  const box = {_CANVAS}.getBoundingClientRect();
  const at = {{ clientX: box.x + x, clientY: box.y + y }};
  {_CANVAS}.dispatchEvent(new MouseEvent(kind, {{ bubbles: true, view: window, ...at }}));
  if (kind === 'mouseup') window.dispatchEvent(new PointerEvent('pointerup'));
}};
window.go = (view) => {{ location.hash = `#/${{view}}`; window.dispatchEvent(new HashChangeEvent('hashchange')); }};
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The page of a large run in a browser.")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--run", type=Path, help="a run folder to show; default: one is made")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = arguments.run or large_run(Path(temporary) / "run", arguments.trials)
        rows = _measure(run, arguments.repeats)
    print(f"{'what':44} {'median ms':>10} {'worst ms':>10}")
    for name, found in rows.items():
        print(f"{name:44} {median(found):10.0f} {max(found):10.0f}")
    document = {
        "benchmark": "board_page",
        "trials": arguments.trials,
        "repeats": arguments.repeats,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "ms": {
            name: {"median": round(median(found), 1), "worst": round(max(found), 1)} for name, found in rows.items()
        },
    }
    print(json.dumps(document))


def _measure(run: Path, repeats: int) -> dict[str, list[float]]:
    program = next(path for name in _BROWSERS if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        rows = {"open the page, the run not read yet": [_open_cold(browser, run) for _ in range(3)]}
        with _served(run) as url:
            rows["open the page"] = [_opened(browser, url)[0] for _ in range(repeats)]
            page = _opened(browser, url)[1]
            page.evaluate(_HELP)
            rows |= {name: _interaction(page, *act, repeats) for name, act in _ACTS.items()}
            page.evaluate("fetch('/api/runs/0/search').then(() => null)")  # it is reckoned once for as many trials
            found = [_first_search(browser, url) for _ in range(repeats)]
            names = ("open Search in a new page", "its longest frame", "until all of it is drawn")
            rows |= dict(zip(names, map(list, zip(*found, strict=True)), strict=True))
        browser.close()
    return rows


def _open_cold(browser: Browser, run: Path) -> float:
    with _served(run) as url:
        return _opened(browser, url)[0]


def _opened(browser: Browser, url: str) -> tuple[float, Page]:
    """Milliseconds until the trials stand in the picture, and the page."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    began = time.perf_counter()
    page.goto(f"{url}/#/front")
    page.wait_for_function(_DRAWN)
    return 1e3 * (time.perf_counter() - began), page


def _first_search(browser: Browser, url: str) -> list[float]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{url}/#/trials")
    page.wait_for_function("() => window.mnas?.store?.current?.loaded")
    page.evaluate(_HELP)
    page.wait_for_timeout(300)
    found: list[float] = page.evaluate(_FIRST_SEARCH)
    page.close()
    return found


def _interaction(page: Page, view: str, act: str, repeats: int) -> list[float]:
    times = []
    for repeat in range(-1, repeats):  # the first one makes what is only made once
        page.evaluate(f"go('{view}')")
        page.wait_for_timeout(150)
        times.append(page.evaluate(_TIMED.replace("ACT", act.replace("REPEAT", str(repeat + 1)))))
    return [float(value) for value in times[1:]]


@contextmanager
def _served(run: Path) -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app([run]), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=20)


if __name__ == "__main__":
    main()
