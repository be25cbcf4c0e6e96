"""The page in a real browser: every view shows the run, from a point one comes to its network and its file."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import served

from mnas.folder import load_result
from mnas.result import SearchResult
from mnas.storage import RunStorage

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
Serve = Callable[..., str]
VIEWS = ("overview", "front", "network", "search", "trials", "machines")


@pytest.fixture
def run(simulate: Callable[..., SearchResult], no_report: None) -> SearchResult:
    """A finished search of forty trials with a target and a cap."""
    return simulate(trials=40, objective={"reward": "soft", "target_ms": 25.0, "max_latency_ms": 45.0})


def view(page: Page, name: str) -> Any:
    """Go to a view by the navigation; gives its section once it is shown."""
    page.click(f'a[data-view="{name}"]')
    section = page.locator(f'[data-panel="{name}"][data-active]')
    section.wait_for()
    return section


def test_the_page_shows_what_a_search_found(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(serve(run.folder))
    assert run.best is not None
    tiles = page.locator("#overview-tiles")
    tiles.get_by_text("of 40").wait_for()
    assert f"{100 * (run.best.accuracy or 0):.2f} %" in tiles.inner_text()
    page.click('a[data-view="front"]')
    page.locator("#front-table tbody tr").nth(len(run.front) - 1).wait_for()
    shown = page.locator("#front-table tbody a").all_inner_texts()
    assert shown == [f"trial {trial.number}" for trial in run.front]


@pytest.mark.slow
def test_every_view_has_its_things(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(serve(run.folder))
    for name in VIEWS:
        section = view(page, name)
        assert section.locator("h1").is_visible()
        assert page.locator(f'a[data-view="{name}"]').get_attribute("aria-current") == "page"
    assert page.locator("[data-active]").count() == 1
    network = view(page, "network")
    network.locator("svg.architecture").wait_for()
    assert run.best is not None
    blocks = len(run.best.architecture.blocks)
    assert network.locator("#network-rows tbody tr").count() == blocks + 2  # stem and head
    search = view(page, "search")
    search.locator(".preference").first.wait_for()
    assert search.locator(".preference").count() == len(run.trials[0].tokens)
    trials = view(page, "trials")
    trials.locator("tr[data-index]").first.wait_for()
    assert trials.locator("#trials-count").inner_text() == "40 trials"


@pytest.mark.slow
def test_new_trials_are_shown_within_two_seconds_while_the_search_goes_on(
    simulate: Callable[..., SearchResult], no_report: None, tmp_path: Path, serve: Serve, look: Look
) -> None:
    settings = {"accuracy": {"name": "simulated", "seconds": 0.4}, "trials": 60, "out": tmp_path / "live"}
    thread = threading.Thread(target=lambda: simulate(**settings), daemon=True)
    thread.start()
    while not (tmp_path / "live" / "run.toml").exists():
        time.sleep(0.05)
    page = look(f"{serve(tmp_path / 'live')}/#/front")
    delays = []
    for _ in range(5):
        with RunStorage.read(tmp_path / "live") as storage:
            seen = stored = len(storage.trials())
            while seen == stored:
                time.sleep(0.02)
                stored = len(storage.trials())
        began = time.monotonic()
        page.wait_for_function("count => mnas.store.current.length >= count", arg=stored, timeout=10_000)
        delays.append(time.monotonic() - began)
    assert max(delays) < 2, delays
    assert "running" in page.locator("#run-state").inner_text()
    shown = page.locator("#run-trials").inner_text().split(" / ")
    assert int(shown[0]) >= stored
    assert shown[1] == "60"
    thread.join()


@pytest.mark.slow
def test_from_a_point_to_its_network_and_its_file(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(f"{serve(run.folder)}/#/front")
    page.locator("#front-table tbody tr").first.wait_for()
    trial = run.front[len(run.front) // 2]
    x, y = point(page, trial.latency_ms or 0, 100 * (trial.accuracy or 0))
    page.mouse.move(x, y)
    tip = page.locator("#chart-front .tip")
    tip.wait_for()
    assert f"trial {trial.number}" in tip.inner_text()
    assert f"{100 * (trial.accuracy or 0):.2f} %" in tip.inner_text()
    page.mouse.click(x, y)
    page.wait_for_url(f"**/#/network/0/{trial.number}")
    page.locator("#title-network", has_text=f"trial {trial.number}").wait_for()
    assert str(trial.architecture.block_strings[0]) in page.locator("#network-copy").inner_text()
    for file, start in (("architecture.json", b"{"), ("model.onnx", b"\x08")):
        with page.expect_download() as download:
            page.click(f'[data-file="{file}"]')
        assert Path(download.value.path()).read_bytes().startswith(start)


@pytest.mark.slow
def test_the_target_stands_where_it_is(
    simulate: Callable[..., SearchResult], no_report: None, serve: Serve, look: Look
) -> None:
    """Not at the next hundredth: networks of less than a millisecond lie between two of them."""
    result = simulate(objective={"reward": "soft", "target_ms": 25.4567})
    page = look(f"{serve(result.folder)}/#/front")
    for name, value in {"x0": 25.45, "x1": 25.47}.items():
        page.fill(f'#front-range [name="{name}"]', str(value))
    page.click("#front-range button")
    page.click("#front-zoom")
    drawn, meant = page.evaluate("""() => {
      const { picture, map } = mnas.views.front.picture, { orange } = mnas.charts.colours();
      const lines = picture.chart.getZr().storage.getDisplayList().filter(({ style }) => style?.stroke === orange);
      return [lines.find(({ shape }) => shape.x1 === shape.x2).shape.x1, map.x(25.4567)];
    }""")
    assert drawn == pytest.approx(meant, abs=2)


def point(page: Page, latency_ms: float, accuracy: float) -> tuple[float, float]:
    """Where a network is drawn, in pixels of the window."""
    box = page.locator("#chart-front").bounding_box()
    assert box is not None
    x, y = page.evaluate(
        "([x, y]) => [mnas.views.front.picture.map.x(x), mnas.views.front.picture.map.y(y)]", [latency_ms, accuracy]
    )
    return box["x"] + x, box["y"] + y


@pytest.mark.slow
def test_a_rectangle_selects_and_what_is_selected_is_listed(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(f"{serve(run.folder)}/#/front")
    page.locator("#front-table tbody tr").first.wait_for()
    inside = [t for t in run.trials if not t.cached and t.accuracy and 15 <= (t.latency_ms or 0) <= 25]
    low, high = min(100 * (t.accuracy or 0) for t in inside) - 0.2, max(100 * (t.accuracy or 0) for t in inside) + 0.2
    from_x, from_y = point(page, 15, high)
    to_x, to_y = point(page, 25, low)
    page.mouse.move(from_x, from_y)
    page.mouse.down()
    page.mouse.move(to_x, to_y, steps=4)
    page.mouse.up()
    title = page.locator("#front-selection-title")
    title.get_by_text("trial").wait_for()
    assert title.inner_text() == f"Selection: {len(inside)} trials"
    listed = page.locator("#front-selected tr[data-index] a").all_inner_texts()
    assert {int(text) for text in listed} <= {trial.number for trial in inside}
    # It ends a selection and opens nothing, though a network lies beneath.
    end_x, end_y = point(page, run.front[-1].latency_ms or 0, 100 * (run.front[-1].accuracy or 0))
    page.mouse.move(from_x, to_y)
    page.mouse.down()
    page.mouse.move(end_x, end_y, steps=4)
    page.mouse.up()
    assert page.url.endswith("#/front")
    # The same by numbers, for who has no mouse.
    page.click("#front-clear")
    for name, value in {"x0": 15, "x1": 25, "y0": low, "y1": high}.items():
        page.fill(f'#front-range [name="{name}"]', str(value))
    page.click("#front-range button")
    assert title.inner_text() == f"Selection: {len(inside)} trials"


@pytest.mark.slow
def test_the_front_is_walked_and_opened_by_keyboard(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(f"{serve(run.folder)}/#/front")
    page.locator("#front-table tbody tr").first.wait_for()
    page.focus("#chart-front")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    second = run.front[1]
    assert f"trial {second.number}" in page.locator("#live").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/#/network/0/{second.number}")


@pytest.mark.slow
def test_a_trial_unfolds_to_its_figures_and_its_network(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(f"{serve(run.folder)}/#/trials")
    trial = next(t for t in run.trials if t.number == 38)  # the newest is first
    page.locator("#trials-table .unfold").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    details = page.locator("#trials-table .unfolded")
    details.locator("svg").wait_for()
    assert "no samples were kept" in details.inner_text()  # by a device that is a formula
    assert page.get_by_label("Details of trial 38").get_attribute("aria-expanded") == "true"
    assert f"{100 * (trial.curve[-1] or 0):.2f} % after {len(trial.curve)} epochs" in details.inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # all values of the curve
    values = [f"{100 * (value or 0):.2f} %" for value in trial.curve]
    assert details.locator("ol").first.locator("li").all_inner_texts() == values
    # Another row takes its place, and the same one folds it.
    page.get_by_label("Details of trial 37").click()
    details.get_by_text("Open the network of trial 37").wait_for()
    assert page.locator("#trials-table [aria-expanded=true]").count() == details.count() == 1
    page.get_by_label("Details of trial 37").click()
    assert details.count() == 0
    page.get_by_label("Details of trial 38").click()
    details.get_by_role("link").click()
    page.wait_for_url("**/#/network/0/38")


@pytest.mark.slow
def test_a_failed_trial_unfolds_to_its_whole_reason(mixed_run: Path, serve: Serve, look: Look) -> None:
    page = look(f"{serve(mixed_run)}/#/trials")
    page.click('#trials-states [data-state="COMPLETE"]')
    page.click('#trials-states [data-state="INFEASIBLE"]')
    page.locator("#trials-table tr[data-index]").first.click()
    details = page.locator("#trials-table .unfolded")
    details.get_by_text("It was not measured.").wait_for()
    assert details.locator(".failure").inner_text() == "it does not run <here>"
    page.fill("#trials-text", "no trial has this")
    assert details.count() == 0


@pytest.mark.slow
def test_what_is_unfolded_stays_while_trials_come(
    simulate: Callable[..., SearchResult], no_report: None, tmp_path: Path, serve: Serve, look: Look
) -> None:
    settings = {"accuracy": {"name": "simulated", "seconds": 0.2}, "trials": 40, "out": tmp_path / "live"}
    thread = threading.Thread(target=lambda: simulate(**settings), daemon=True)
    thread.start()
    while not (tmp_path / "live" / "run.toml").exists():
        time.sleep(0.05)
    page = look(f"{serve(tmp_path / 'live')}/#/trials")
    page.locator("#trials-table .unfold").first.wait_for()
    page.get_by_label("Details of trial 0", exact=True).click()
    details = page.locator("#trials-table .unfolded")
    details.locator("svg").first.wait_for()
    details.get_by_role("link").focus()
    page.wait_for_function("() => mnas.store.current.length >= 30")
    assert details.get_by_role("link").evaluate("link => link === document.activeElement")
    assert page.get_by_label("Details of trial 0", exact=True).get_attribute("aria-expanded") == "true"
    thread.join()


@pytest.mark.slow
def test_trials_are_filtered_and_sorted(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(f"{serve(run.folder)}/#/trials")
    rows = page.locator("tr[data-index]")
    rows.first.wait_for()
    page.click('[data-key="latency_ms"]')
    page.click('[data-key="latency_ms"]')  # the lowest first
    fastest = min((t for t in run.trials if t.latency_ms), key=lambda t: (t.latency_ms or 0, t.number))
    assert rows.first.locator("a").inner_text() == str(fastest.number)
    page.fill("#trials-text", fastest.architecture.id)
    same = [t for t in run.trials if t.architecture.id == fastest.architecture.id]
    page.get_by_text(f"{len(same)} of 40 trials").wait_for()
    assert rows.count() == len(same)
    page.fill("#trials-text", "no trial has this")
    page.get_by_text("No trial matches.").wait_for()


@pytest.mark.slow
def test_two_networks_are_compared_and_what_differs_is_marked(run: SearchResult, serve: Serve, look: Look) -> None:
    one, other = run.front[0], run.front[-1]
    page = look(f"{serve(run.folder)}/#/network/0/{one.number}")
    page.locator("svg.architecture").wait_for()
    page.select_option("#network-other", f"0/{other.number}")
    page.locator("#network-difference", has_text="differ").wait_for()
    assert page.locator("svg.architecture").count() == 2
    rows = [row for row in page.locator("#network-rows tbody tr").all() if row.locator(".changed").count()]
    names = {row.locator("td").first.inner_text() for row in rows}
    pairs = enumerate(zip(one.architecture.blocks, other.architecture.blocks, strict=False), start=1)
    assert names >= {str(number) for number, (mine, theirs) in pairs if mine.kernel != theirs.kernel}


@pytest.mark.slow
def test_two_runs_lie_over_each_other(
    simulate: Callable[..., SearchResult], no_report: None, tmp_path: Path, serve: Serve, look: Look
) -> None:
    names = ["first", "<script>document.title = 'taken'</script><b>second</b>"]
    runs = [simulate(name=name, seed=seed, out=tmp_path / str(seed)) for seed, name in enumerate(names)]
    page = look(f"{serve(*(run.folder for run in runs))}/#/front")
    page.locator("#front-table tbody tr").nth(sum(len(run.front) for run in runs) - 1).wait_for()
    # What runs are called is text, never markup.
    assert page.locator("#front-runs button").all_inner_texts() == names
    assert page.locator("main b", has_text="second").count() == 0
    assert "taken" not in page.title().replace(names[1], "")
    page.click('#front-runs [data-run="1"]')
    page.wait_for_function(
        "count => document.querySelectorAll('#front-table tbody tr').length === count", arg=len(runs[0].front)
    )
    page.select_option("#run", "1")
    assert view(page, "overview").locator("h1").is_visible()
    page.locator("#overview-facts").get_by_text("ppo").wait_for()
    assert page.locator("#run").input_value() == "1"


@pytest.mark.slow
def test_a_phone_is_wide_enough_and_touch_opens(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(serve(run.folder), width=390, height=844, has_touch=True, is_mobile=True)
    for name in VIEWS:
        view(page, name)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    view(page, "front")
    trial = run.front[0]
    page.locator("#chart-front").scroll_into_view_if_needed()
    x, y = point(page, trial.latency_ms or 0, 100 * (trial.accuracy or 0))
    page.touchscreen.tap(x, y)
    assert f"trial {trial.number}" in page.locator("#chart-front .tip").inner_text()
    page.touchscreen.tap(x, y)
    page.wait_for_url(f"**/#/network/0/{trial.number}")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_assistive_technology(
    theme: str, run: SearchResult, serve: Serve, look: Look
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="accessibility is checked with axe")
    page = look(serve(run.folder), color_scheme=theme)
    assert page.locator("html").get_attribute("data-theme") == theme
    for name in VIEWS:
        view(page, name)
        if name == "trials":
            page.locator("#trials-table .unfold").first.click()
        page.wait_for_timeout(500)
        found = axe.Axe().run(page).response["violations"]
        grave = [
            f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")
        ]
        assert grave == [], name


@pytest.mark.slow
def test_what_the_server_refuses_is_said_and_nothing_is_lost(run: SearchResult, serve: Serve, look: Look) -> None:
    """A run folder that is taken away, and comes back."""
    page = look(f"{serve(run.folder)}/#/front", allowed=("409", "404"))
    page.locator("#front-table tbody tr").first.wait_for()
    shown = page.locator("#front-table tbody tr").count()
    away = run.folder.with_name("away")
    run.folder.rename(away)
    bar = page.locator("#bar")
    page.evaluate("mnas.store.poke()")
    bar.wait_for()
    assert page.locator("#front-table tbody tr").count() == shown
    away.rename(run.folder)
    page.evaluate("mnas.store.poke()")
    bar.wait_for(state="hidden")


@pytest.mark.slow
def test_a_search_that_failed_says_so_with_its_reason(run: SearchResult, serve: Serve, look: Look) -> None:
    path = run.folder / "status.json"
    why = "the last 5 trials failed alike, so the search stops: the loss is not finite"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "failed", "message": why}))
    page = look(serve(run.folder))
    page.locator("#overview-notes .failure", has_text=f"The search failed: {why}").wait_for()
    assert page.locator("#run-state").inner_text() == "failed"
    assert why in view(page, "machines").locator("#machines-notes").inner_text()


@pytest.mark.slow
def test_a_server_that_is_gone_is_said(run: SearchResult, look: Look) -> None:
    with served(run.folder) as url:
        page = look(f"{url}/#/front", allowed=("ERR_CONNECTION_REFUSED",))
        page.locator("#front-table tbody tr").first.wait_for()
    page.evaluate("mnas.store.poke()")
    page.locator("#bar", has_text="does not answer").wait_for()
    assert page.locator("#front-table tbody tr").count() == len(run.front)


@pytest.mark.slow
def test_the_theme_is_switched_and_kept(run: SearchResult, serve: Serve, look: Look) -> None:
    page = look(f"{serve(run.folder)}/#/front", color_scheme="light")
    page.click("#theme")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark"


@pytest.mark.slow
def test_a_page_left_open_does_not_grow(run: SearchResult, serve: Serve, look: Look) -> None:
    """Hundreds of polls and views: as many elements and charts as after the first round."""
    page = look(serve(run.folder))
    poll = "async () => { mnas.store.poke(); await new Promise(r => setTimeout(r, 20)); }"

    def round_trip() -> None:
        for name in VIEWS:
            view(page, name)
            for _ in range(10):
                page.evaluate(poll)

    round_trip()
    view(page, "search").locator(".preference").first.wait_for()
    round_trip()
    count = "document.querySelectorAll('*').length"
    before = page.evaluate(count)
    for _ in range(4):
        round_trip()
    assert abs(page.evaluate(count) - before) < 20
    assert page.evaluate("mnas.store.current.length") == len(load_result(run.folder).trials)
