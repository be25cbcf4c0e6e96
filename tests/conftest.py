"""What several tests use: small searches that are formulas, so that they take a moment."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy, StopBelow
from mnas.devices import SimulatedDevice
from mnas.devices._measuring import Busy, Patience
from mnas.errors import MeasurementError
from mnas.objective import Latency
from mnas.result import SearchResult
from mnas.run import search
from mnas.space import Architecture, BlockSpace, described_space
from mnas.trial import Trial

# Shells let background jobs ignore Ctrl-C, which several tests press; what they start inherits this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _accepting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests share the machine with each other: what they promise of local devices does not depend on its quiet.

    What a busy machine is refused for is tested in tests/devices/test_measuring.py.
    """

    def patience(half_width: float, busy: Busy, patience_s: float) -> Patience:
        Patience(half_width, busy, patience_s)  # refuses what is out of range
        return Patience(half_width=0.99, busy="accept", patience_s=0)

    monkeypatch.setattr("mnas.devices._local.Patience", patience)


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
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches draw no report: for files whose promises are about trials, since figures take most of a small search.

    That every search ends with a report is tested in tests/report, tests/cli and where one has something to say.
    """
    monkeypatch.setattr("mnas.run.write_report", lambda result: None)


class Sometimes(SimulatedDevice):
    """A simulated device on which some networks cannot be measured."""

    def measure(self, architecture: Architecture) -> Latency:
        if int(architecture.id, 16) % 4 == 0:
            raise MeasurementError("it does not run <here>")
        return super().measure(architecture)


@pytest.fixture(scope="session")
def _mixed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mnas.run.write_report", lambda result: None)
        search(
            device=Sometimes(),
            accuracy="simulated",
            dataset=None,
            controller={"name": "ppo", "batch": 5},
            objective={"reward": "soft", "max_latency_ms": 35.0},
            trials=40,
            workers=0,
            final={"top": 0},
            out=folder,
        )
    return folder


@pytest.fixture
def mixed_run(_mixed_run: Path, tmp_path: Path) -> Path:
    """The folder of a run of 40 trials of all kinds: complete, infeasible and failed ones; the test's own."""
    return Path(shutil.copytree(_mixed_run, tmp_path / "run"))


@pytest.fixture
def essence() -> Callable[[Trial], dict[str, Any]]:
    """A trial without where and how long it was made: what must be the same in a repeated or resumed search."""
    circumstances = ("started", "finished", "attempts", "worker", "measure_seconds", "train_seconds")

    def of(trial: Trial) -> dict[str, Any]:
        return {key: value for key, value in trial.to_dict().items() if key not in circumstances}

    return of


class CountingAccuracy:
    """An estimator that counts how often each architecture is asked for."""

    task = "counted"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
        self.asked.append(architecture.id)
        return AccuracyEstimate(0.5, (0.4, 0.5))


class CurvedAccuracy:
    """Simulated accuracy with learning curves, which can end early: four epochs that come closer to the final one.

    How far each is from it differs between networks, so that early accuracies tell final ones only roughly.
    """

    task, epochs = "curved", 4

    def estimate(
        self, architecture: Architecture, seed: int, stop_below: StopBelow | None = None
    ) -> AccuracyEstimate:
        final = SimulatedAccuracy().estimate(architecture, seed).accuracy
        late = 1 + int(architecture.id, 16) % 100 / 5000
        curve = tuple(final ** (late * power) for power in (1.6, 1.3, 1.1))
        for epoch, accuracy in enumerate(curve, start=1):
            if stop_below and stop_below.stops(epoch, accuracy):
                return AccuracyEstimate(accuracy, curve[:epoch], stopped=True)
        return AccuracyEstimate(final, (*curve, final))


@pytest.fixture
def curved_accuracy() -> CurvedAccuracy:
    return CurvedAccuracy()


@pytest.fixture
def counting_accuracy() -> CountingAccuracy:
    return CountingAccuracy()


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Conversions of one test are not another's, and never the user's."""
    monkeypatch.setenv("MNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
