"""Ten thousand trials on the page: all are there, few are elements."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mnas.folder import load_result
from mnas.result import SearchResult

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow
TRIALS = 10_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A run of ten thousand trials, made by the benchmarks' maker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        patch.setattr("mnas.run.write_report", lambda result: None)
        import board_runs

        result = load_result(board_runs.large_run(tmp_path_factory.mktemp("large") / "run", TRIALS))
        sys.modules.pop("board_runs")
    return result


@pytest.fixture
def page(large: SearchResult, serve: Callable[..., str], look: Callable[..., Page]) -> Page:
    found = look(f"{serve(large.folder)}/#/front", width=1440, height=900)
    found.wait_for_function("() => mnas.store.current?.loaded && mnas.views.front.picture?.map")
    return found


def test_every_trial_is_a_point_and_none_is_an_element(large: SearchResult, page: Page) -> None:
    assert page.evaluate("mnas.store.current.length") == TRIALS
    complete = sum(1 for trial in large.trials if trial.state == "COMPLETE" and not trial.cached)
    assert page.locator('[data-group="complete"]').inner_text().split() == ["complete", f"{complete:,}"]
    assert page.evaluate("document.querySelectorAll('*').length") < 1500
    shown = page.locator("#front-table tbody a").all_inner_texts()
    assert shown == [f"trial {trial.number}" for trial in large.front]


def test_a_selection_counts_every_trial_in_it(large: SearchResult, page: Page) -> None:
    inside = [t for t in large.trials if not t.cached and t.accuracy is not None and 10 <= (t.latency_ms or 0) <= 20]
    for name, value in {"x0": 10, "x1": 20}.items():
        page.fill(f'#front-range [name="{name}"]', str(value))
    page.click("#front-range button")
    assert page.locator("#front-selection-title").inner_text() == f"Selection: {len(inside):,} trials"
    assert page.locator("#front-selected tr[data-index]").count() < 80


def test_the_table_scrolls_filters_and_sorts_all(large: SearchResult, page: Page) -> None:
    page.click('a[data-view="trials"]')
    rows = page.locator("#trials-table tr[data-index]")
    rows.first.wait_for()
    assert rows.first.locator("a").inner_text() == str(TRIALS - 1)
    page.locator("#trials-table .virtual-box").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#trials-table tr[data-index] a')].at(-1).textContent === '0'"
    )
    assert rows.count() < 80
    early = next(t for t in large.trials[20:] if t.curve)
    page.get_by_label(f"Details of trial {early.number}", exact=True).click()
    details = page.locator("#trials-table .unfolded")
    details.locator("svg").nth(1).wait_for()
    details.get_by_role("link").scroll_into_view_if_needed()
    assert details.get_by_role("link").get_attribute("href") == f"#/network/0/{early.number}"
    page.fill("#trials-text", "loss is not finite")
    failed = sum(1 for trial in large.trials if trial.state == "FAILED")
    page.get_by_text(f"{failed} of {TRIALS:,} trials").wait_for()
    page.fill("#trials-text", "")
    page.click('#trials-table [data-key="reward"]')
    best = max(large.trials, key=lambda trial: (trial.reward, -trial.number))
    assert rows.first.locator("a").inner_text() == str(best.number)


def test_search_view_draws_them_all(page: Page) -> None:
    drawn = "document.querySelectorAll('[data-panel=search] canvas').length"
    go = "location.hash = '#/search'; window.dispatchEvent(new HashChangeEvent('hashchange'));"
    assert page.evaluate(f"() => {{ {go} return {drawn}; }}") == 0  # piece by piece, once the view is there
    page.wait_for_function(f"() => {drawn} === 4")
    page.locator(".preference").first.wait_for()
    page.click('[data-panel="search"] [data-over="time"]')
    page.locator('[data-chart="chart-reward"] summary').click()
    page.locator('[data-chart="chart-reward"] tbody tr').nth(999).wait_for()
    assert "The last 1000 of 10000 rows" in page.locator('[data-chart="chart-reward"]').inner_text()
