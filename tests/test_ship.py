"""Promises of shipping: the best on validation within the limits, tested once, exported, and nothing done twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mnas import model_run
from mnas import ship as ship_module
from mnas.config import Part
from mnas.devices import SimulatedDevice
from mnas.errors import SettingsError, StorageError
from mnas.model_folder import ModelFolder
from mnas.run import search
from mnas.ship import ShipSettings, ship
from mnas.training import Recipe

SPACE = {
    "name": "blocks",
    "blocks": [{"filters": 8, "layers": 1, "stride": 2}, {"filters": 16, "layers": 1, "stride": 2}],
    "choices": {
        "ops": ["sepconv", "mbconv3"], "kernels": [3, 5], "se_ratios": [0], "skips": ["identity"],
        "filter_ratios": [1, 1.5], "layer_deltas": [0],
    },
    "resolution": 12, "classes": 10, "input_channels": 1, "head": {"filters": 32},
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ship") / "run"
    search(
        space=SPACE, device="simulated", accuracy="simulated", dataset=None, controller={"name": "random"}, trials=30,
        workers=0, final={"top": 0}, out=folder,
    )  # fmt: skip
    return folder


@pytest.fixture
def settings(run) -> ShipSettings:
    return ShipSettings(run, Part(name="digits"), Recipe(epochs=1), top=2)


def test_the_best_on_validation_is_tested_exported_and_described(settings, tmp_path):
    shipped = ship(settings, tmp_path / "ship")
    accuracies = [candidate.accuracy for candidate in shipped.candidates]
    assert len(accuracies) == 2
    assert None not in accuracies
    assert sum(candidate.is_chosen for candidate in shipped.candidates) == 1
    model = tmp_path / "ship" / "model"
    assert {path.name for path in model.iterdir()} >= {
        "model.safetensors", "model.onnx", "card.html", "card.md", "exports.json", "latency.json", "scores.json",
    }  # fmt: skip
    assert shipped.scores == ModelFolder(model).scores()["test"]
    card = (model / "card.md").read_text()
    assert "this model" in card
    assert "Chosen among" in card
    model_run.evaluate_model(model, "validation")
    assert (model / "card.md").read_text() == card, "scoring again writes the same card"
    assert "mnas ship" in card
    assert [path.name for path in sorted((tmp_path / "ship" / "candidates").iterdir())] == sorted(
        f"trial-{candidate.label.split()[1]}" for candidate in shipped.candidates
    )


@pytest.mark.slow
def test_an_interrupted_ship_goes_on_and_does_nothing_twice(settings, tmp_path, monkeypatch):
    trained: list[str] = []
    tested: list[str] = []
    train, evaluate = model_run._train, model_run.evaluate_model

    def counted(settings, *rest) -> None:
        if len(trained) == 1:
            trained.append("killed")
            raise KeyboardInterrupt
        trained.append(settings.name)
        train(settings, *rest)

    def testing(folder, part, *rest):
        tested.append(part)
        return evaluate(folder, part, *rest)

    monkeypatch.setattr(model_run, "_train", counted)
    monkeypatch.setattr(ship_module, "evaluate_model", testing)
    with pytest.raises(KeyboardInterrupt):
        ship(settings, tmp_path / "ship")
    first = ship(settings, tmp_path / "ship")
    second = ship(settings, tmp_path / "ship")
    names = [name for name in trained if name != "killed"]
    assert len(names) == len(set(names)) == 2
    assert tested == ["test"]
    assert first.scores == second.scores
    assert first.candidates == second.candidates


class SlowDevice(SimulatedDevice):
    """The simulated device, on which everything takes a thousand times as long."""

    def measure(self, architecture):
        latency = super().measure(architecture)
        slow = {name: 1000 * getattr(latency, name) for name in ("latency_ms", "low_ms", "high_ms")}
        return replace(latency, **slow)


def limited(run: Path, tmp_path: Path, limit_ms: float) -> Path:
    """The run as if it had been searched with a hard limit on the latency."""
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    text = (copy / "run.toml").read_text()
    (copy / "run.toml").write_text(text.replace("[objective]", f"[objective]\nmax_latency_ms = {limit_ms}", 1))
    return copy


@pytest.mark.slow
def test_what_breaks_a_hard_limit_on_the_device_is_named_and_not_trained(run, settings, tmp_path):
    from mnas.folder import load_result

    latencies = sorted(trial.latency_ms for trial in load_result(run).front)
    assert len(latencies) > 2, "the fixture's front is too small to tell anything"
    limit = (latencies[1] + latencies[2]) / 2  # so that the two fastest keep it
    shipped = ship(replace(settings, run=limited(run, tmp_path, limit), top=2), tmp_path / "ship")
    broken = [candidate for candidate in shipped.candidates if candidate.latency.latency_ms > limit]
    assert len(broken) == len(latencies) - 2
    assert all(one.accuracy is None and "is above the cap" in one.note for one in broken)
    assert "is above the cap" in (shipped.model.path / "card.md").read_text()


def test_a_device_on_which_nothing_keeps_the_limits_is_said_before_training(run, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(ship_module.registry, "measuring_device", lambda name, settings: SlowDevice())
    slow = replace(settings, run=limited(run, tmp_path, 1.0))
    with pytest.raises(
        SettingsError, match=r"(?s)no network of the front keeps the run's hard limits.*above the cap"
    ):
        ship(slow, tmp_path / "ship")
    assert not (tmp_path / "ship" / "candidates").exists()


def test_a_missing_library_is_named_before_anything_is_trained(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None)
    with pytest.raises(SettingsError, match=r"pip install 'mnas\[litert\]'"):
        ship(replace(settings, formats=("litert",)), tmp_path / "ship")
    assert not (tmp_path / "ship").exists()


def test_a_ship_with_other_settings_is_refused_with_the_difference(settings, tmp_path):
    folder = tmp_path / "ship"
    folder.mkdir()
    (folder / "ship.json").write_text(json.dumps({"version": 1, "identity": settings.identity}))
    with pytest.raises(StorageError, match="seed: it has 0, now it is 5"):
        ship(replace(settings, seed=5), folder)
    (folder / "ship.json").write_text(json.dumps({"version": 2, "identity": settings.identity}))
    with pytest.raises(StorageError, match="has format 2, this mnas reads format 1"):
        ship(settings, folder)


@pytest.mark.slow
def test_a_training_that_failed_is_named_and_the_others_are_shipped(settings, tmp_path, monkeypatch):
    from mnas.errors import TrainingError

    train = model_run._train
    failed: list[str] = []

    def failing(settings, *rest) -> None:
        if not failed:
            failed.append(settings.name)
            raise TrainingError("training diverged in epoch 1")
        train(settings, *rest)

    monkeypatch.setattr(model_run, "_train", failing)
    shipped = ship(settings, tmp_path / "ship")
    first, second = shipped.candidates
    assert "training diverged in epoch 1" in first.note
    assert second.is_chosen
