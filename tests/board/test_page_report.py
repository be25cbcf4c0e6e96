"""The report of a run: the page in one file, opened from a folder without any network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from mnas.result import SearchResult

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


@pytest.fixture
def page(simulate: Callable[..., SearchResult], look: Callable[..., Page]) -> Page:
    """The report that a search leaves in its folder."""
    result = simulate(trials=40, name="<script>document.title = 'taken'</script>")
    found = look(f"{(result.folder / 'report.html').as_uri()}", offline=True)
    found.locator("#overview-tiles").get_by_text("of 40").wait_for()
    return found


def test_every_view_is_in_the_file(page: Page) -> None:
    for name, thing in {
        "overview": "#overview-best svg.architecture",
        "front": "#front-table tbody tr",
        "network": "#network-rows tbody tr",
        "search": ".preference",
        "trials": "tr[data-index]",
        "machines": "#machines-tiles li",
    }.items():
        page.click(f'a[data-view="{name}"]')
        page.locator(f"[data-active] {thing}" if not thing.startswith("#") else thing).first.wait_for()
    assert page.locator("#run-name").inner_text() == "<script>document.title = 'taken'</script>"
    assert page.title() != "taken"


def test_a_network_that_is_not_in_the_file_is_said(page: Page) -> None:
    page.evaluate("location.hash = '#/network/0/99999'")
    page.locator("#network-error", has_text="mnas board").wait_for()


def test_on_paper_all_views_stand_below_each_other(page: Page) -> None:
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    for name in ("overview", "front", "network", "search"):
        assert page.locator(f'[data-panel="{name}"] h1').is_visible()
    # The front's table is on the overview and on the front, which stand below each other here: once is enough.
    assert page.locator("h2:visible", has_text="Networks on the front").count() == 1
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator("[data-panel]:not([hidden])").count() == 1
