"""Promises of the comparison with references: both models agree, all are measured together, nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mnas.accuracy import SurrogateAccuracy
from mnas.devices import SurrogateDevice
from mnas.errors import MeasurementError, SettingsError
from mnas.folder import load_result
from mnas.models import reference_architecture
from mnas.objective import Latency
from mnas.report import render_markdown
from mnas.result import Comparison, Rated, SearchResult
from mnas.space import Architecture
from mnas.views import RunView, dominance

NAMES = ["efficientnet-b0-relu", "mnasnet-a1", "mnasnet-b1", "mobilenet-v2"]
SETTINGS = {
    "space": "accel-nasbench",
    "accuracy": "accel-nasbench",
    "device": "accel-nasbench",
    "objective": "hard",
    "controller": {"name": "guided", "goal": "both"},
    "trials": 80,
    "final": {"references": NAMES},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> SearchResult:
    """A search on the zcu102 surrogate."""
    from mnas.run import search

    return search(**SETTINGS, dataset=None, workers=0, out=tmp_path_factory.mktemp("comparison") / "run")


def test_every_reference_is_the_nearest_member(found):
    labels = [comparison.reference.label for comparison in found.comparisons]
    assert labels == [NAMES[0], *(f"nearest to {name}" for name in NAMES[1:])]


def test_both_models_agree_to_every_gain(found):
    """Asked again, apart from the search: the mlp that was searched, and the trees that were not."""
    models = (SurrogateAccuracy("mlp"), SurrogateAccuracy("trees"))
    gains = 0
    for comparison in found.comparisons:
        for network in (comparison.faster, comparison.better):
            if network is not None:
                pair = [network.architecture, comparison.reference.architecture]
                for model in models:
                    ours, theirs = model.predict(pair)[0]
                    assert ours >= theirs
                gains += 1
    assert gains >= 4


def test_it_dominates_efficientnet_b0(found):
    comparison = found.comparisons[0]
    assert comparison.is_faster
    assert comparison.is_better
    assert comparison.speedup > 1.3
    assert comparison.points > 1


def test_what_is_better_is_faster_beyond_the_intervals(found):
    for comparison in found.comparisons:
        if comparison.better is not None:
            assert comparison.is_better
            assert comparison.better.latency.high_ms < comparison.reference.latency.low_ms


def test_it_is_stored_and_not_measured_again(found, monkeypatch):
    from mnas.run import resume

    monkeypatch.setattr(SurrogateDevice, "measure", lambda self, network: pytest.fail("measured again"))
    assert resume(found.folder, lambda progress: None).comparisons == found.comparisons
    assert load_result(found.folder).comparisons == found.comparisons


def test_the_report_and_the_sentences_tell_it(found):
    page = render_markdown(found.folder)
    for comparison, sentence in zip(found.comparisons, dominance(found.comparisons), strict=True):
        assert sentence.startswith(comparison.reference.label)
        if comparison.speedup is not None:
            assert f"{comparison.speedup:.2f} times faster" in page


def test_the_page_shows_each_reference_and_what_dominates_it(found):
    told = RunView(found.folder).description()
    assert [row.sentence for row in told.comparisons] == told.verdict == dominance(found.comparisons)
    assert [one.label for one in told.references] == [row.reference.label for row in found.comparisons]
    assert {one.kind for one in told.references} == {"predicted"}
    for shown, comparison in zip(told.comparisons, found.comparisons, strict=True):
        assert (shown.speedup, shown.points) == (comparison.speedup, comparison.points)
        assert shown.reference.second_accuracy == comparison.reference.second_accuracy
    assert RunView(found.folder).reference(1).architecture == str(found.comparisons[1].reference.architecture)


def test_json_has_both_figures_per_reference(found):
    from mnas.cli._result_display import _result_document

    document = json.loads(json.dumps(_result_document(found), allow_nan=False))
    first = document["comparisons"][0]
    assert first["speedup"] == pytest.approx(found.comparisons[0].speedup)
    assert first["points"] == pytest.approx(found.comparisons[0].points)
    assert first["reference"]["accuracy_sd"] > 0


class RememberingDevice(SurrogateDevice):
    """A device that can measure networks together."""

    def __init__(self) -> None:
        super().__init__("zcu102")
        self.together: list[int] = []

    def measure_together(self, networks: Sequence[Architecture], processes: int) -> list[Latency]:
        self.together.append(len(networks))
        return [self.measure(network) for network in networks]


def test_references_and_what_dominates_them_are_measured_together(simulate):
    device = RememberingDevice()
    result = simulate(**{**SETTINGS, "device": device})
    networks = {
        rated.architecture.id
        for comparison in result.comparisons
        for rated in (comparison.reference, comparison.faster, comparison.better)
        if rated is not None
    }
    assert device.together == [len(networks)]


def test_a_reference_that_cannot_be_measured_is_left_out_and_the_report_written(simulate):
    b0 = reference_architecture("efficientnet-b0-relu")

    class Refusing(SurrogateDevice):
        def measure(self, architecture: Architecture) -> Latency:
            if architecture == b0:
                raise MeasurementError("no such operation")
            return super().measure(architecture)

    result = simulate(**{**SETTINGS, "trials": 30, "device": Refusing("zcu102")})
    assert [comparison.reference.label for comparison in result.comparisons] == [f"nearest to {n}" for n in NAMES[1:]]
    assert (result.folder / "report.html").exists()


def test_without_a_final_there_is_no_comparison(simulate):
    assert simulate(**{**SETTINGS, "trials": 20, "final": {"top": 0}}).comparisons == ()


def test_an_unknown_reference_is_answered_with_the_nearest_before_the_search(simulate, tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'mnasnet-a1'"):
        simulate(**{**SETTINGS, "trials": 20, "final": {"references": ["mnasnet-a7"]}})
    assert not (tmp_path / "run").exists()


def _rated(label: str, accuracy: float, low: float, high: float) -> Rated:
    latency = Latency((low + high) / 2, low, high, "minimum", "cpu")
    return Rated(label, Architecture.parse("ds_r1_k3_s1_c16"), latency, accuracy, 0.002, accuracy)


def test_nothing_is_claimed_inside_the_intervals():
    reference, other = _rated("reference", 0.6, 5.0, 5.4), _rated("trial 3", 0.61, 4.8, 5.1)
    comparison = Comparison(reference, other, other)
    assert not comparison.is_faster
    assert dominance([comparison]) == ["reference: nothing is claimed, the measured intervals overlap."]
    faster = replace(other, latency=replace(other.latency, high_ms=4.9))
    assert "1.05 times faster" in dominance([Comparison(reference, faster, other)])[0]
    assert "no network of this search" in dominance([Comparison(reference, None, None)])[0]
