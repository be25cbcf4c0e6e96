from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.errors import SettingsError
from mnas.objective import AbsoluteReward, Caps, Energy, Latency, Measurement, Objective, WeightedProduct

milliseconds = st.floats(1e-3, 1e5)
accuracies = st.floats(0, 1)


def measurement(accuracy: float | None, latency_ms: float | None) -> Measurement:
    latency = None if latency_ms is None else Latency(latency_ms, latency_ms, latency_ms, "median", "device")
    return Measurement(
        params=3_000_000, madds=300_000_000, weight_bytes=12_000_000, latency=latency, accuracy=accuracy
    )


@pytest.mark.parametrize(
    ("latency_ms", "soft", "hard"), [(40, 0.5249, 0.5), (80, 0.5, 0.5), (160, 0.4763, 0.25)], ids="{}ms".format
)
def test_the_rewards_of_the_papers_figure_3(latency_ms: float, soft: float, hard: float) -> None:
    """Tan et al. 2019, Figure 3: accuracy 0.5, target 80 ms."""
    assert WeightedProduct.soft(80).score(0.5, latency_ms) == pytest.approx(soft, abs=5e-5)
    assert WeightedProduct.hard(80).score(0.5, latency_ms) == pytest.approx(hard)


def test_twice_the_latency_is_worth_five_percent_of_accuracy() -> None:
    """The paper's rule for alpha and beta: (l, a) and (2l, 1.05a) are worth about the same."""
    soft = WeightedProduct.soft(75)
    assert soft.score(0.75 * 1.05, 150) == pytest.approx(soft.score(0.75, 75), rel=5e-4)


def test_any_alpha_and_beta() -> None:
    objective = WeightedProduct(100, alpha=-0.1, beta=-0.5)
    assert objective.score(0.6, 50) == pytest.approx(0.6 * 2**0.1)
    assert objective.score(0.6, 400) == pytest.approx(0.6 / 2)


def test_the_absolute_reward_of_tunas() -> None:
    objective = AbsoluteReward(84)
    assert objective.score(0.75, 84) == 0.75
    assert objective.score(0.75, 42) == pytest.approx(0.75 - 0.05)
    assert objective.score(0.75, 168) == pytest.approx(0.75 - 0.10)


@settings(deadline=None)
@given(accuracies, milliseconds, milliseconds)
def test_with_equal_exponents_the_target_only_rescales(accuracy: float, latency: float, other: float) -> None:
    """Why the soft reward does not pull a search to its target: the order of candidates does not know it."""
    ratio = WeightedProduct.soft(10).score(1.0, 10) / WeightedProduct.soft(20).score(1.0, 10)
    for ms in (latency, other):
        assert WeightedProduct.soft(10).score(accuracy, ms) == pytest.approx(
            ratio * WeightedProduct.soft(20).score(accuracy, ms)
        )


@settings(deadline=None)
@given(st.sampled_from([WeightedProduct.soft(80), WeightedProduct.hard(80), AbsoluteReward(80)]), milliseconds)
def test_more_accuracy_is_never_worth_less(objective: Objective, latency_ms: float) -> None:
    rewards = [objective.score(accuracy, latency_ms) for accuracy in (0, 0.1, 0.5, 1)]
    assert rewards == sorted(rewards)
    assert objective.reward(measurement(0.5, latency_ms)) == objective.score(0.5, latency_ms)


@pytest.mark.parametrize("objective", [WeightedProduct.soft(80), WeightedProduct.hard(80), AbsoluteReward(80)])
def test_a_failure_is_worth_an_accuracy_of_zero(objective: Objective) -> None:
    """At its latency where that is known, at the target where not; never more than what was trained."""
    assert objective.failure_reward(measurement(None, None)) == 0
    assert objective.failure_reward(measurement(None, 160)) == objective.score(0.0, 160)
    assert objective.failure_reward(measurement(None, 160)) <= objective.reward(measurement(0.01, 160))
    # An INFEASIBLE trial that was measured, and a FAILED one whose training gave an accuracy that does not count.
    assert objective.failure_reward(measurement(0.9, 160)) == objective.score(0.0, 160)


def test_slower_failures_of_the_absolute_reward_are_worth_less() -> None:
    objective = AbsoluteReward(80)
    assert objective.failure_reward(measurement(None, 160)) == pytest.approx(-0.1)


@pytest.mark.parametrize("missing", [(None, 80), (0.5, None)])
def test_a_reward_needs_accuracy_and_latency(missing: tuple[float | None, float | None]) -> None:
    with pytest.raises(ValueError, match="failure_reward"):
        WeightedProduct.soft(80).reward(measurement(*missing))


@pytest.mark.parametrize("target", [0, -1, math.nan])
@pytest.mark.parametrize("make", [WeightedProduct.soft, WeightedProduct.hard, AbsoluteReward])
def test_a_target_is_above_zero(make: Any, target: float) -> None:
    with pytest.raises(SettingsError, match="target_ms should be above zero"):
        make(target)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Caps)])
@pytest.mark.parametrize("value", [0, -5, math.nan])
def test_a_cap_is_above_zero(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name} should be above zero"):
        Caps(**{name: value})


def test_caps_name_what_is_exceeded() -> None:
    caps = Caps(max_latency_ms=79.5, max_params=2_999_999, max_madds=299e6, max_model_mb=11.9)
    assert caps.violations(measurement(0.5, 80)) == [
        "latency 80 ms is above the cap of 79.5 ms",
        "parameters 3,000,000 is above the cap of 2,999,999",
        "MAdds 300,000,000 is above the cap of 299,000,000",
        "model size 12 MB is above the cap of 11.9 MB",
    ]


def measured_whole() -> Measurement:
    latency = Latency(4.2, 4.1, 4.4, "minimum", "cpu", environment={"model_bytes": 15_600_000},
                      energy=Energy(33.0, 31.0, 35.0, "rapl package-0", {"idle_watts": 4.5}))  # fmt: skip
    return dataclasses.replace(measurement(0.75, 4.2), latency=latency, peak_activation_bytes=6_000_000)


def test_caps_on_memory_file_and_energy_name_what_is_exceeded() -> None:
    caps = Caps(max_memory_mb=5.9, max_file_mb=15.5, max_energy_mj=32.5)
    assert caps.violations(measured_whole()) == [
        "activation memory 6 MB is above the cap of 5.9 MB",
        "file size 15.6 MB is above the cap of 15.5 MB",
        "energy 33 mJ is above the cap of 32.5 mJ",
    ]
    assert Caps(max_memory_mb=6, max_file_mb=15.6, max_energy_mj=33).violations(measured_whole()) == []


def test_caps_say_what_a_measurement_lacks() -> None:
    """A cap on something that a device does not tell would hold for nothing."""
    caps = Caps(max_params=9e6, max_memory_mb=9, max_file_mb=20, max_energy_mj=40)
    assert caps.unmeasured(measured_whole()) == []
    assert caps.unmeasured(measurement(None, 4.2)) == ["max_memory_mb", "max_file_mb", "max_energy_mj"]
    assert caps.violations(measurement(None, 4.2)) == []


def test_at_a_cap_is_not_above_it() -> None:
    caps = Caps(max_latency_ms=80, max_params=3_000_000, max_madds=300_000_000, max_model_mb=12)
    assert caps.violations(measurement(0.5, 80)) == []


def test_what_is_not_measured_exceeds_nothing() -> None:
    assert Caps(max_latency_ms=1).violations(measurement(None, None)) == []
    assert Caps().violations(measurement(0.5, 1e9)) == []


def test_a_measurement_survives_json() -> None:
    latency = Latency(
        4.2, 4.1, 4.4, "minimum of 3 processes", "cpu", (4.2, 4.3), {"governor": "performance", "load": 0.1}
    )
    whole = dataclasses.replace(measurement(0.75, 4.2), latency=latency, task="digits")
    for original in (whole, measured_whole(), measurement(None, None)):
        stored = json.loads(json.dumps(original.to_dict(), allow_nan=False))
        assert Measurement.from_dict(stored) == original
    assert whole.latency_ms == 4.2
    assert measurement(None, None).latency_ms is None
