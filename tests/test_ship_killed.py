"""A ship that is killed in the middle of anything goes on, with the same command, to the same result."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mnas.config import Part
from mnas.model_folder import ModelFolder
from mnas.model_run import Watch
from mnas.run import search
from mnas.ship import ShipSettings, ship
from mnas.training import Recipe

SPACE = {
    "name": "blocks",
    "blocks": [{"filters": 8, "layers": 1, "stride": 2}, {"filters": 16, "layers": 1, "stride": 2}],
    "choices": {
        "ops": ["sepconv", "mbconv3"], "kernels": [3], "se_ratios": [0], "skips": ["identity"],
        "filter_ratios": [1, 1.5], "layer_deltas": [0],
    },
    "resolution": 12, "classes": 10, "input_channels": 1, "head": {"filters": 16},
}  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> ShipSettings:
    folder = tmp_path_factory.mktemp("killed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "mnas.run.write_report", lambda result: None
        )  # what is drawn of a search is not of interest here
        search(
            space=SPACE, device="simulated", accuracy="simulated", dataset=None, controller={"name": "random"},
            trials=12, workers=0, final={"top": 0}, out=folder,
        )  # fmt: skip
    return ShipSettings(folder, Part(name="digits"), Recipe(epochs=1), top=2)


@pytest.fixture(autouse=True)
def _checkpoint_after_each_step(monkeypatch):
    monkeypatch.setattr("mnas.model_run._CHECKPOINT_SECONDS", 0.0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shipping(settings: ShipSettings, folder: Path, seen) -> None:
    """In a process of its own; `seen` counts phases and steps."""
    os.setsid()

    def count(*_: object) -> None:
        seen.value += 1

    ship(settings, folder, watch=Watch(count, count))


def killed(settings: ShipSettings, folder: Path, is_time: Callable[[int], bool], seconds: float) -> bool:
    """Whether there was something to kill, some time after `is_time` was true of the phases and steps so far."""
    context = multiprocessing.get_context("fork")
    seen = context.Value("i", 0)
    child = context.Process(target=shipping, args=(settings, folder, seen))
    child.start()
    while not is_time(seen.value) and child.is_alive():
        time.sleep(0.001)
    time.sleep(seconds)
    child.kill()
    child.join()
    return child.exitcode == -signal.SIGKILL


def after(events: int) -> Callable[[int], bool]:
    return lambda seen: seen >= events


def outcome(folder: Path) -> dict[str, object]:
    """All that a ship says, without times, the folder's name and what is left of locks."""
    model = ModelFolder(folder / "model")
    lines = (model.path / "card.md").read_text().replace(str(folder), "SHIP").splitlines()
    weights = {
        path.parent.name: {
            name: value.tolist() for name, value in ModelFolder(path.parent).trained().module.state_dict().items()
        }
        for path in sorted(folder.rglob("model.safetensors"))
    }
    return {
        "files": sorted(
            str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.startswith(".writer")
        ),
        "weights": weights,
        "curve": model.curve(),
        "scores": model.scores(),
        "exports": [(row.path.name, row.sha256, row.accuracy) for row in model.exports()],
        "ship.json": json.loads((folder / "ship.json").read_text()),
        "card": [line for line in lines if not re.match(r"\| begun", line)],
    }


@pytest.fixture(scope="module")
def undisturbed(settings, tmp_path_factory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("undisturbed") / "ship"
    torch.set_num_threads(1)
    ship(settings, folder)
    return folder, outcome(folder)


@pytest.mark.slow
def test_a_ship_that_is_killed_while_it_trains_ends_as_if_nothing_had_been(settings, undisturbed, tmp_path):
    assert killed(settings, tmp_path / "ship", after(20), 0.0)
    assert not (tmp_path / "ship" / "model").exists()
    ship(settings, tmp_path / "ship")
    assert outcome(tmp_path / "ship") == undisturbed[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_so_it_does_when_it_is_killed_at_many_random_moments(settings, undisturbed, tmp_path, seed):
    chance, kills = random.Random(seed), 0
    for _ in range(12):
        kills += killed(settings, tmp_path / "ship", after(chance.randrange(1, 7)), chance.uniform(0, 0.1))
    ship(settings, tmp_path / "ship")
    assert kills >= 3, "how many come in time depends on the machine"
    assert outcome(tmp_path / "ship") == undisturbed[1]


@pytest.mark.slow
def test_killed_after_the_training_it_neither_trains_nor_chooses_again(settings, undisturbed, tmp_path):
    """While it tests and exports: every moment from the last training on."""
    chance, folder = random.Random(2), tmp_path / "ship"
    journal = folder / "ship.json"
    assert killed(settings, folder, lambda _: journal.exists() and '"chosen"' in journal.read_text(), 0.0)
    trained = {path: path.stat().st_mtime_ns for path in folder.glob("candidates/*/model.safetensors")}
    for _ in range(5):
        killed(settings, folder, after(1), chance.uniform(0, 0.6))
    ship(settings, folder)
    assert trained == {path: path.stat().st_mtime_ns for path in folder.glob("candidates/*/model.safetensors")}
    assert outcome(folder) == undisturbed[1]


@pytest.mark.slow
def test_killed_while_it_measures_it_keeps_what_was_measured_and_leaves_no_process(settings, tmp_path):
    here = replace(settings, device=Part(name="cpu"))
    folder = tmp_path / "ship"
    assert killed(here, folder, after(2), 0.2)  # the second network's turn
    first = json.loads((folder / "ship.json").read_text())["latencies"]
    assert sum(map(len, first.values())) == 1
    assert not timing_processes()
    ship(here, folder)
    ((device, rows),) = json.loads((folder / "ship.json").read_text())["latencies"].items()
    assert len(rows) == 2
    assert all(rows[key] == row for key, row in first[device].items())


def timing_processes() -> str:
    """Those that are left some seconds later, of this process's user."""
    for _ in range(50):
        found = subprocess.run(["pgrep", "-f", "mnas.devices._worker"], capture_output=True, text=True).stdout
        if not found:
            break
        time.sleep(0.1)
    return found
