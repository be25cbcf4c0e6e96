"""The paper's experiments: they resume from their CSV, and what they claim exactly holds exactly."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from mnas.space import SearchSpace
from mnas.testing import SpaceConformance

ROOT = Path(__file__).parents[1]
NAMES = ("soft_vs_hard", "rl_over_time", "spaces_and_rewards", "layer_diversity", "target_latency")


@pytest.fixture(autouse=True)
def _experiments_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def few_jobs(name: str, module: Any) -> list[Any]:
    """So many searches that every table and panel has something."""
    if name == "spaces_and_rewards":
        kinds = [("ppo", "soft"), ("guided", "hard")]
        return [module.Job("zcu102", *kind[:1], space, kind[1], 0, 20) for kind in kinds for space in module.SPACES]
    if name == "target_latency":
        wanted = [("guided", "absolute -0.1"), ("evolution", "soft")]
        return [module.Job("zcu102", *one, percent, 0, 15) for one in wanted for percent in module.PERCENTILES]
    trials = {"rl_over_time": 100, "layer_diversity": 10}.get(name, 60)
    return [dataclasses.replace(job, trials=trials) for job in module.jobs(1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_resumes_from_its_results(name, tmp_path, capsys):
    """What the CSV holds is not run again; what it lost comes out the same. Table, JSON line and figure are made."""
    module = importlib.import_module(name)
    wanted = few_jobs(name, module)
    experiment = dataclasses.replace(module.EXPERIMENT, jobs=lambda seeds: wanted)
    path = tmp_path / "results.csv"
    experiment.main(["--results", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])["experiment"] == name
    assert sum(line.startswith("|") for line in lines) > 5
    assert path.with_suffix(".png").stat().st_size > 10_000

    whole = path.read_text(encoding="utf-8")
    rows = whole.splitlines(keepends=True)
    assert len(rows) == 1 + len(wanted)
    path.write_text("".join([*rows[:1], *rows[2:]]), encoding="utf-8")
    experiment.main(["--results", str(path)])
    again = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(f"{name}: ") for line in again) == 1
    assert path.read_text(encoding="utf-8") == whole

    experiment.main(["--results", str(path), "--plot"])
    plotted = capsys.readouterr().out.splitlines()
    assert plotted == lines[len(wanted) :]


def test_the_target_only_rescales_the_soft_reward():
    """Evolution looks at ranks alone, so that all its trials are the same; the absolute reward feels the target."""
    module = importlib.import_module("target_latency")
    rows = {
        (reward, percent): module.run(module.Job("zcu102", "evolution", reward, percent, 0, 200))
        for reward in ("soft", "absolute -0.1")
        for percent in (10, 50, 90)
    }
    assert len({rows["soft", percent]["all_trials"] for percent in (10, 50, 90)}) == 1
    assert len({rows["absolute -0.1", percent]["all_trials"] for percent in (10, 50, 90)}) == 3


def test_equal_exponents_rescale_by_the_targets_ratio():
    """R(T) / R(T') = (T' / T)^-0.07 for every network, exactly but for rounding."""
    oracle = importlib.import_module("_oracle")
    near, far = oracle.objective("soft", 4.0), oracle.objective("soft", 9.0)
    ratios = {round(near.score(a, ms) / far.score(a, ms), 12) for a in (0.5, 0.7) for ms in (1.0, 4.0, 6.0, 20.0)}
    assert ratios == {round((9.0 / 4.0) ** -0.07, 12)}


def test_the_histogram_counts_every_trial():
    module = importlib.import_module("soft_vs_hard")
    row = module.run(module.Job("a100", "random", 0, 300))
    assert sum(row["histogram"]) == 300


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_has_its_page_figure_and_results(name):
    page = (ROOT / "docs" / "experiments" / f"{name}.md").read_text(encoding="utf-8")
    assert f"../images/experiments/{name}.png" in page
    assert (ROOT / "docs" / "images" / "experiments" / f"{name}.png").exists()
    assert f"]({name}.md)" in (ROOT / "docs" / "experiments" / "README.md").read_text(encoding="utf-8")
    module = importlib.import_module(name)
    experiment = module.EXPERIMENT
    stored = importlib.import_module("_experiment")._read(experiment.results)
    assert len(stored) >= len(experiment.jobs(None))


class TestOneCell(SpaceConformance):
    def make(self) -> SearchSpace:
        space: SearchSpace = importlib.import_module("spaces_and_rewards").space_of("one-cell")
        return space


class TestTwoCells(SpaceConformance):
    def make(self) -> SearchSpace:
        space: SearchSpace = importlib.import_module("spaces_and_rewards").space_of("two-cells")
        return space


def test_cells_share_their_answers():
    """With two cells, the blocks that halve the resolution are alike, and so are the others."""
    space = importlib.import_module("spaces_and_rewards").space_of("two-cells")
    blocks = space.decode((0, 0, 0, 1, 2, 1, 1, 2)).blocks
    kinds = {block.stride: {(b.op, b.kernel, b.se_ratio, b.layers) for b in blocks if b.stride == block.stride}
             for block in blocks}  # fmt: skip
    assert kinds == {2: {("sepconv", 3, 0, 2)}, 1: {("mbconv", 5, 0.25, 3)}}
