"""The experiments that train: tables and figures come from the committed CSV, the statistics are right, they run."""

from __future__ import annotations

import importlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """A module of experiments/ by its name."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return importlib.import_module


@pytest.fixture
def digits_file(tmp_path: Path) -> Path:
    """scikit-learn's digits as an .npz file."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * 15).astype(np.uint8)
    path = tmp_path / "digits.npz"
    np.savez(path, x_train=pixels[:1500], y_train=labels[:1500], x_test=pixels[1500:], y_test=labels[1500:])
    return path


def test_kendalls_tau_of_known_orders(module):
    tau = module("_kendall").kendall_tau
    assert tau([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert tau([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert np.isnan(tau([1, 1, 1], [1, 2, 3]))
    generator = np.random.default_rng(0)
    for _ in range(20):  # with ties
        one, other = generator.integers(0, 6, (2, 30))
        assert tau(one, other) == pytest.approx(kendalltau(one, other).statistic)


def test_the_interval_holds_the_true_tau_about_as_often_as_it_says(module):
    """Of two normal variables with correlation r, tau is 2/pi asin(r). 100 intervals; fewer than 86 or more than 99
    of them with the true value in it would come by chance less than once in 500 times at 95 %."""
    r, generator, hits = 0.7, np.random.default_rng(0), 0
    for seed in range(100):
        one, noise = generator.normal(size=(2, 40))
        found = module("_kendall").tau_interval(
            [(one, r * one + np.sqrt(1 - r**2) * noise)], resamples=200, seed=seed
        )
        hits += found.low <= 2 / np.pi * np.arcsin(r) <= found.high
    assert 86 <= hits <= 99


def test_the_interval_of_several_seeds(module):
    """The mean of the pairs' taus; a network that one ranking lacks is left out of that pair alone."""
    kendall = module("_kendall")
    one = np.array([1.0, 2, 3, 4, 5])
    other, gap = np.array([1.0, 2, 3, 5, 4]), np.array([1.0, 2, np.nan, 4, 5])
    found = kendall.tau_interval([(one, other), (one, gap)], resamples=50)
    assert found.tau == pytest.approx((0.8 + 1) / 2)
    assert (found.networks, found.pairs) == (4, 2)
    assert found.low <= found.tau <= found.high


@pytest.mark.parametrize("name", [pytest.param("proxy_ranking", marks=pytest.mark.slow), "factorized_vs_layerwise"])
def test_tables_and_figure_are_made_of_the_committed_rows(module, tmp_path, capsys, name):
    """Without data; the page has the same tables."""
    script = module(name)
    for path in script.RESULTS.parent.glob(f"{script.RESULTS.stem}*.csv"):
        shutil.copy(path, tmp_path)
    script.main(["--plot", "--results", str(tmp_path / script.RESULTS.name)])
    *table, line = capsys.readouterr().out.strip().splitlines()
    assert json.loads(line)["experiment"] == name
    assert (tmp_path / script.RESULTS.with_suffix(".png").name).stat().st_size > 10_000
    page = module("_page").page_path(name).read_text(encoding="utf-8")
    assert "\n".join(table).strip() in page


def test_each_training_of_the_committed_curves_is_whole(module):
    """One row per epoch, the same network under one number, and every network trained long."""
    script = module("proxy_ranking")
    found = script.finished_jobs(script.RESULTS)
    assert {len(curve) - job.epochs for job, curve in found.items()} == {0}
    assert {job.network for job in found if job.kind == "long"} == set(range(script.NETWORKS))
    drawn = script.networks(script.NETWORKS, classes=10)
    with script.RESULTS.open(encoding="utf-8") as file:
        rows = list(script.csv.DictReader(file))
    assert {(int(row["network"]), row["architecture"]) for row in rows} == set(enumerate(map(str, drawn)))


def test_every_factorized_network_is_a_layerwise_one(module):
    spaces = module("_small_fashion")
    factorized, layerwise = spaces.factorized_space(), spaces.layerwise_space()
    generator = random.Random(0)
    for _ in range(50):
        architecture = factorized.decode(factorized.sample(generator))
        assert layerwise.decode(layerwise.encode(architecture)) == architecture
    assert factorized.size() == 432**5


@pytest.mark.parametrize("name", ["proxy_ranking", "factorized_vs_layerwise"])
def test_without_data_a_script_says_what_to_do(module, tmp_path, name):
    for given in (["--data", str(tmp_path / "missing.npz")], []):
        with pytest.raises(SystemExit, match="Fashion-MNIST"):
            module(name).main([*given, "--results", str(tmp_path / "results.csv")])


def _small(digits_file: Path, results: Path) -> list[str]:
    return ["--data", str(digits_file), "--results", str(results), "--images", "200", "--validation", "100"]


@pytest.mark.slow
def test_proxy_ranking_runs_and_resumes(module, digits_file, tmp_path, monkeypatch, capsys):
    """What the file holds is not trained again; what it lost comes out the same."""
    script = module("proxy_ranking")
    monkeypatch.setattr(script, "PLAN", (("long", 3, 0), ("short", 1, 0), ("long", 3, 1), ("short", 1, 1)))
    path = tmp_path / "curves.csv"
    given = [*_small(digits_file, path), "--networks", "4"]
    script.main(given)
    whole = path.read_text(encoding="utf-8")
    assert len(whole.splitlines()) == 1 + 4 * 8
    script.main(given)
    assert path.read_text(encoding="utf-8") == whole
    path.write_text("".join(whole.splitlines(keepends=True)[:-2]), encoding="utf-8")
    script.main(given)
    assert path.read_text(encoding="utf-8") == whole
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["long_epochs"] == 3


@pytest.mark.slow
def test_factorized_vs_layerwise_runs_and_resumes(module, digits_file, tmp_path):
    script = module("factorized_vs_layerwise")
    path = tmp_path / "results.csv"
    given = [
        *_small(digits_file, path),
        "--trials",
        "4",
        "--seeds",
        "1",
        "--long",
        "1",
        "--runs",
        str(tmp_path / "runs"),
    ]
    script.main(given)
    whole = path.read_text(encoding="utf-8")
    assert len(whole.splitlines()) == 1 + 2 * 4
    assert len((tmp_path / "results_finals.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2
    path.unlink()  # the run folders have everything
    script.main(given)
    assert path.read_text(encoding="utf-8") == whole
