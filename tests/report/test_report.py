"""Promises of the reports: self-contained, escaped, complete, and honest about what the test images can tell."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnas.errors import SettingsError, StopError, StorageError
from mnas.folder import load_result
from mnas.objective import Latency
from mnas.report import export_report, page_files, render_html, render_markdown, write_report
from mnas.result import Final
from mnas.space import Architecture
from mnas.storage import RunStorage
from mnas.trial import TrialState
from mnas.views import verdict

ARCHITECTURE = Architecture.parse("ds_r1_k3_s1_c16")
EVIL = "</script><script>alert(1)</script>\u2028<b>"
DATA = re.compile(r'<script type="application/json" id="embedded">(.*?)</script>', re.DOTALL)
BROWSER = any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "microsoft-edge"))


def a_final(low: float, high: float, **flags: bool) -> Final:
    latency = Latency(1.0, 0.9, 1.1, "minimum", "cpu")
    return Final("a network", ARCHITECTURE, latency, ((low + high) / 2,), low, high, 360, **flags)


def embedded(page: str) -> dict[str, Any]:
    return dict(json.loads(DATA.search(page)[1]))


def renamed(folder: Path, name: str) -> None:
    """Give a stored run another name, as whoever hands it on may do."""
    path = folder / "run.toml"
    text = path.read_text(encoding="utf-8").replace('name = "search"', f'name = "{name}"', 1)
    path.write_text(text, encoding="utf-8")


def test_the_page_needs_nothing_from_elsewhere(mixed_run):
    page = DATA.sub("", render_html(mixed_run))
    markup = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!#|data:)', markup)
    assert markup.count("<script") == 0


def test_the_page_runs_its_own_scripts_and_no_others(mixed_run):
    """A policy with a hash of each: text of a run that got into the markup could not run."""
    page = render_html(mixed_run)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<script")
    own = [name for name in page_files() if name.endswith((".js", ".css"))]
    texts = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.DOTALL)
    assert len(texts) == len(own)
    for text in texts:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_the_page_holds_every_trial_and_why_some_failed(mixed_run):
    answers, result = embedded(render_html(mixed_run)), load_result(mixed_run)
    table = answers["/api/runs/0/trials?after=0"]
    assert sorted(table["number"]) == [trial.number for trial in result.trials]
    assert table["error"].count("it does not run <here>") == result.counts.failed > 0
    assert table["front"] == [trial.number for trial in result.front]
    for trial in result.trials:
        network = answers[f"/api/runs/0/trials/{trial.number}"]
        assert network["architecture"] == str(trial.architecture)


def test_text_from_a_run_is_data_and_never_markup(mixed_run):
    renamed(mixed_run, EVIL)
    page = render_html(mixed_run)
    assert "<script>alert" not in page
    assert "\u2028" not in DATA.search(page)[1]
    assert embedded(page)["/api/runs/0"]["name"] == EVIL
    assert "<script>" not in render_markdown(mixed_run)


@pytest.fixture
def ended(simulate):
    """A search as it ends, with its report."""
    return simulate(trials=10)


def test_a_search_leaves_the_picture_and_the_page_in_its_folder(ended):
    assert (ended.folder / "front.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    answers = embedded((ended.folder / "report.html").read_text(encoding="utf-8"))
    assert answers["/api/runs/0"]["state"] == "finished"
    assert answers["/api/runs"]["runs"][0]["trials"] == 10
    assert answers["/api/runs/0/machines"]["state"] == "finished"


def test_the_page_of_a_search_says_what_the_result_says(ended):
    write_report(replace(ended, notes=("torch was 1.0 when the run began",)))
    answers = embedded((ended.folder / "report.html").read_text(encoding="utf-8"))
    assert answers["/api/runs/0"]["notes"] == ["torch was 1.0 when the run began"]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ((0.90, 0.94), "The winner is more accurate"),
        ((0.99, 0.999), "The winner is less accurate"),
        ((0.94, 0.97), "No winner is claimed"),
    ],
)
def test_no_winner_is_claimed_inside_the_intervals(reference, said):
    finals = [a_final(0.95, 0.98, is_winner=True), a_final(*reference, is_reference=True)]
    assert [sentence.startswith(said) for sentence in verdict(finals)] == [True]


def test_a_run_without_any_trial_still_has_reports(mixed_run):
    connection = sqlite3.connect(mixed_run / "trials.sqlite", isolation_level=None)
    connection.execute("DELETE FROM trials")
    connection.close()
    assert embedded(render_html(mixed_run))["/api/runs/0/trials?after=0"]["number"] == []
    assert "Nothing was evaluated yet" in render_markdown(mixed_run)
    assert "None" not in render_markdown(mixed_run)


def test_markdown_says_what_the_page_says(mixed_run):
    text, result = render_markdown(mixed_run), load_result(mixed_run)
    assert "None" not in text
    for trial in result.front:
        assert f"| {trial.number}{' *' if trial is result.best else ''} | {100 * trial.accuracy:.2f} |" in text
        assert " ".join(trial.architecture.block_strings) in text
    for said in (f"{result.counts.failed} failed", "max_latency_ms 35.0", result.device, "it does not run &lt;here>"):
        assert said in text, said
    picture = re.search(r"```\n(.*?)```", text, re.DOTALL)[1]
    assert picture.count("*") == 1
    assert picture.count("o") == len(result.front) - 1
    assert {len(line) <= 90 for line in picture.splitlines()} == {True}


def test_markdown_says_why_a_search_failed(mixed_run):
    path = mixed_run / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "failed", "message": "no <disk>"}))
    assert "**The search failed: no &lt;disk>**" in render_markdown(mixed_run)


def test_markdown_tables_are_whole(mixed_run):
    renamed(mixed_run, "a|b")
    lines = render_markdown(mixed_run).splitlines()
    tables = 0
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if re.fullmatch(r"\|(---\|)+", line):
            tables += 1
            columns = line.count("|")
            assert before.replace(r"\|", "").count("|") == columns, before
            assert after.replace(r"\|", "").count("|") == columns, after
    assert tables == 4


def test_failed_trials_are_told_with_their_reason(mixed_run):
    failed = [trial for trial in load_result(mixed_run).trials if trial.state is TrialState.FAILED]
    rows = [f"| {trial.number} | it does not run &lt;here> |" for trial in failed]
    assert all(row in render_markdown(mixed_run) for row in rows)


def test_reports_are_written_where_they_are_asked_for(mixed_run, tmp_path):
    export_report(mixed_run, "md", tmp_path / "a.md")
    assert (tmp_path / "a.md").read_text(encoding="utf-8").startswith("# search")
    with pytest.raises(SettingsError, match="did you mean 'html'"):
        export_report(mixed_run, "htm", tmp_path / "a.htm")
    with pytest.raises(SettingsError, match="no folder"):
        export_report(mixed_run, "md", tmp_path / "nowhere" / "a.md")
    with pytest.raises(StorageError, match="not a run folder"):
        export_report(tmp_path, "html", tmp_path / "a.html")


def test_without_a_browser_a_pdf_says_what_to_install(mixed_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("mnas.report._pdf._PLACES", ())
    with pytest.raises(SettingsError, match=r"install one.*MNAS_BROWSER"):
        export_report(mixed_run, "pdf", tmp_path / "a.pdf")
    monkeypatch.setenv("MNAS_BROWSER", "nonesuch")
    with pytest.raises(SettingsError, match="got 'nonesuch'"):
        export_report(mixed_run, "pdf", tmp_path / "a.pdf")


def test_a_browser_that_prints_nothing_is_quoted(mixed_run, tmp_path, monkeypatch):
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho no display >&2\n")
    browser.chmod(0o755)
    monkeypatch.setenv("MNAS_BROWSER", str(browser))
    with pytest.raises(StopError, match="no display"):
        export_report(mixed_run, "pdf", tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


@pytest.mark.slow
def test_a_page_of_thousands_of_trials_stays_small(mixed_run):
    """It holds as many as fit, all of the front among them, and says how many those are."""
    best = load_result(mixed_run).best
    with RunStorage.read(mixed_run) as storage:
        identity = storage.meta("identity")
    with RunStorage.create(mixed_run, identity) as storage:
        storage._connection.execute("BEGIN")  # ten thousand times on disk takes half a minute
        for number in range(40, 12_000):
            storage.add_trial(replace(best, number=number, cached=number % 7 == 0, error=f"unlike {number}"))
        storage._connection.execute("COMMIT")
    page = render_html(mixed_run)
    assert len(page.encode()) < 5_000_000
    answers = embedded(page)
    table = answers["/api/runs/0/trials?after=0"]
    assert 7_990 < len(table["number"]) < 8_100
    assert set(table["front"]) <= set(table["number"])
    assert table["best"] in table["number"]
    assert len(answers["/api/runs/0/search"]["numbers"]) == len(table["number"])
    assert any("of 12,000 trials" in note for note in answers["/api/runs/0"]["notes"])


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="needs Chromium, Chrome or Edge")
def test_a_pdf_is_the_page_on_paper(mixed_run, tmp_path):
    export_report(mixed_run, "pdf", tmp_path / "a.pdf")
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert 20_000 < len(pdf) < 5_000_000
    assert len(re.findall(rb"/Type /Page\b", pdf)) > 1
