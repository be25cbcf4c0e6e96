"""What several tests use: small searches that are formulas, so that they take a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnas.accuracy import AccuracyEstimate
from mnas.result import SearchResult
from mnas.run import search
from mnas.space import Architecture, BlockSpace, described_space
from mnas.trial import Trial


@pytest.fixture
def tiny_space() -> BlockSpace:
    """Two blocks, 64 combinations."""
    return described_space(
        blocks=[{"filters": 16, "layers": 1, "stride": 1}, {"filters": 24, "layers": 2, "stride": 2}],
        choices={
            "ops": ["sepconv", "mbconv3"],
            "kernels": [3, 5],
            "se_ratios": [0],
            "skips": ["identity"],
            "filter_ratios": [1],
            "layer_deltas": [0, 1],
        },
        resolution=32,
        classes=10,
    )


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., SearchResult]:
    """A search on the simulated device with simulated accuracy, into a folder of its own."""

    def run(**changes: Any) -> SearchResult:
        settings: dict[str, Any] = {
            "device": "simulated",
            "accuracy": "simulated",
            "dataset": None,
            "controller": {"name": "ppo", "batch": 5},
            "trials": 20,
            "workers": 0,
            "final": {"top": 0},
            "out": tmp_path / "run",
        }
        return search(**{**settings, **changes})

    return run


@pytest.fixture
def essence() -> Callable[[Trial], dict[str, Any]]:
    """A trial without its times: what must be the same in a repeated or resumed search."""

    def of(trial: Trial) -> dict[str, Any]:
        return {key: value for key, value in trial.to_dict().items() if key not in ("started", "finished")}

    return of


class CountingAccuracy:
    """An estimator that counts how often each architecture is asked for."""

    task = "counted"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        self.asked.append(architecture.id)
        return AccuracyEstimate(0.5, (0.4, 0.5))


@pytest.fixture
def counting_accuracy() -> CountingAccuracy:
    return CountingAccuracy()
