"""The sample-efficiency benchmark: its optima hold, its runs resume, its rows say what happened."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results" / "sample_efficiency.csv"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    pytest.importorskip("optuna", reason="the benchmark compares with Optuna")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    import sample_efficiency

    return sample_efficiency


def test_best_known_networks_are_worth_what_the_file_says(benchmark: ModuleType) -> None:
    """The file of optima belongs to the surrogates that are shipped, for each device and oracle."""
    oracle = sys.modules["sample_efficiency_oracle"]
    for device in benchmark.DEVICES:
        for model in ("mlp", "trees"):
            known = oracle.best_known(device, model)  # raises where the fits differ
            for reward in oracle.REWARDS:
                rows = oracle.np.array([oracle.from_word(known[reward]["tokens"])])
                again = oracle.Oracle(device, model).rewards(reward, *oracle.Oracle(device, model)(rows))
                assert again[0] == pytest.approx(known[reward]["reward"])


def test_runs_resume_and_repeat(benchmark: ModuleType, tmp_path: Path) -> None:
    """What the file holds is not run again; what it lost comes out the same, but for the times."""
    jobs = [
        benchmark.Job(name, "zcu102", "mlp", 0.0, goal, 0, 60)
        for name, goal in (("evolution", "soft"), ("evolution", "hard"), ("nsga2", "front"), ("optuna-tpe", "hard"))
    ]
    path = tmp_path / "results.csv"
    benchmark.run(jobs, path)
    whole = benchmark.read(path)
    assert sorted((row["controller"], row["goal"]) for row in whole.values()) == [
        ("evolution", "front"),
        ("evolution", "hard"),
        ("evolution", "soft"),
        ("nsga2", "front"),
        ("nsga2", "hard"),
        ("nsga2", "soft"),
        ("optuna-tpe", "hard"),
    ]
    written = path.stat().st_mtime_ns
    benchmark.run(jobs, path)
    assert path.stat().st_mtime_ns == written
    lost = {key: row for key, row in whole.items() if row["goal"] != "hard"}
    benchmark.write(path, lost)
    benchmark.run(jobs, path)
    again = benchmark.read(path)
    assert [row["curve"] for row in again.values()] == [row["curve"] for row in whole.values()]


def test_noise_is_told_but_not_scored(benchmark: ModuleType, tmp_path: Path) -> None:
    """The regret is of the network chosen by noisy rewards, by its worth without noise: it may rise again."""
    quiet = benchmark.Job("random", "zcu102", "mlp", 0.0, "soft", 1, 100)
    noisy = benchmark.Job("random", "zcu102", "mlp", 1.0, "soft", 1, 100)
    benchmark.run([quiet, noisy], tmp_path / "results.csv")
    rows = benchmark.read(tmp_path / "results.csv")
    best, chosen = rows[quiet.key("soft")], rows[noisy.key("soft")]
    assert float(chosen["at_100"]) >= float(best["at_100"])


def test_no_committed_search_beats_the_best_known(benchmark: ModuleType) -> None:
    """Otherwise every regret in the table would be wrong."""
    rows = benchmark.read(RESULTS).values()
    assert len(rows) > 500
    for row in rows:
        values = [float(step.split(":")[1]) for step in row["curve"].split()]
        assert max(values) <= 1 if row["goal"] == "front" else min(values) >= 0, row["controller"]
