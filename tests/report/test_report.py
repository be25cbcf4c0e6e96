"""Promises of the report: self-contained, escaped, honest about what the test images can tell."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mnas.objective import Latency
from mnas.report import render_html, verdict
from mnas.result import Final
from mnas.space import Architecture
from mnas.trial import TrialState

ARCHITECTURE = Architecture.parse("ds_r1_k3_s1_c16")


def a_final(low: float, high: float, **flags: bool) -> Final:
    latency = Latency(1.0, 0.9, 1.1, "minimum", "cpu")
    return Final("a network", ARCHITECTURE, latency, ((low + high) / 2,), low, high, 360, **flags)


def test_the_page_needs_nothing_from_elsewhere(simulate):
    page = render_html(simulate())
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", "href"))
    assert "<script" not in page
    assert "<svg" in page


def test_the_page_shows_every_trial_and_why_some_failed(simulate):
    result = simulate(trials=10)
    broken = replace(result.trials[3], state=TrialState.FAILED, error="loss became NaN at step 7", reward=0.0)
    page = render_html(replace(result, trials=(*result.trials[:3], broken, *result.trials[4:])))
    assert "loss became NaN at step 7" in page
    for trial in result.trials:
        assert f"<td>{trial.number}</td>" in page


def test_text_from_a_run_is_escaped(simulate):
    result = simulate(trials=5)
    page = render_html(replace(result, name="<script>alert(1)</script>", notes=("<b>note</b>",)))
    assert "<script>alert" not in page
    assert "<b>note</b>" not in page


def test_the_picture_and_the_page_lie_in_the_run_folder(simulate):
    folder = simulate().folder
    assert (folder / "front.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (folder / "report.html").stat().st_size > 10_000


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


def test_a_run_without_any_success_still_has_a_report(simulate):
    result = replace(simulate(trials=5), trials=())
    assert result.best is None
    assert "Pareto front" in render_html(result)
