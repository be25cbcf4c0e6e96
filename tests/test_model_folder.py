"""Promises of a model's folder: trained once, resumed to the same weights, scored, exported, never mixed up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mnas.config import Part
from mnas.errors import SettingsError, StorageError
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.model_run import Watch, evaluate_model, export_model, make_dataset, sample, train_model
from mnas.space import Architecture
from mnas.training import Recipe

ARCHITECTURE = Architecture.parse("input_r12_c3 stem_k3_s1_c8 ds_r1_k3_s2_c16 ir_r1_k3_s2_e2_c24 head_c32_n1000")
SETTINGS = TrainingSettings("a small one", ARCHITECTURE, Part(name="digits"), Recipe(epochs=3))


class KilledError(Exception):
    """Ends a training from outside."""


def killed_at(step: int) -> Watch:
    def watch(progress) -> None:
        if progress.step == step:
            raise KilledError

    return Watch(step=watch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "digits"
    train_model(SETTINGS, folder)
    return folder


def test_the_architecture_is_fitted_to_the_data(trained):
    model = ModelFolder(trained).trained()
    assert (model.architecture.head.classes, model.architecture.input_channels) == (10, 1)
    assert model.architecture.resolution == 12
    assert model.class_names == tuple("0123456789")
    assert model.preprocessing.crop_share == 1.0


def test_training_leaves_a_model_its_settings_its_curve_its_scores_and_its_card(trained):
    names = {path.name for path in trained.iterdir() if not path.name.startswith(".")}
    assert names >= {"training.toml", "model.safetensors", "curve.jsonl", "scores.json", "card.html", "card.md"}
    assert "checkpoint.safetensors" not in names
    model = ModelFolder(trained)
    assert [row["epoch"] for row in model.curve()] == [1, 2, 3]
    assert model.scores()["validation"].accuracy == pytest.approx(model.curve()[-1]["accuracy"])
    assert model.trained().metrics["validation_accuracy"] > 0.5
    assert model.settings().recipe == SETTINGS.recipe


def test_a_killed_training_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.model_run._CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KilledError):
        train_model(SETTINGS, tmp_path / "model", watch=killed_at(25))
    assert not ModelFolder(tmp_path / "model").is_finished
    train_model(SETTINGS, tmp_path / "model", resume=True)
    ours, theirs = (ModelFolder(path) for path in (tmp_path / "model", trained))
    weights = (model.trained().module.state_dict() for model in (ours, theirs))
    assert all(torch.equal(one, other) for one, other in zip(*(w.values() for w in weights), strict=True))
    assert ours.curve() == theirs.curve()


def test_a_finished_training_is_left_as_it_is(trained):
    before = (trained / "model.safetensors").stat().st_mtime_ns
    train_model(SETTINGS, trained, resume=True)
    assert (trained / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(SettingsError, match="is trained already"):
        train_model(SETTINGS, trained)


def test_another_training_in_the_same_folder_is_refused_with_the_difference(trained):
    other = replace(SETTINGS, seed=7, recipe=Recipe(epochs=4))
    with pytest.raises(
        StorageError, match=r"(?s)model.seed: it has 0, now it is 7.*recipe.epochs: it has 3, now it is 4"
    ):
        train_model(other, trained, resume=True)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(SettingsError, match=r"should be an empty folder or a new one, it has thesis\.tex"):
        train_model(SETTINGS, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["thesis.tex"]


def test_two_processes_do_not_train_into_one_folder(tmp_path):
    model = ModelFolder(tmp_path / "model")
    with model.locked(), pytest.raises(StorageError, match="another process is writing"):
        train_model(SETTINGS, model.path)


def test_a_folder_of_a_later_version_is_refused(trained, tmp_path):
    text = (trained / "training.toml").read_text().replace("version = 1", "version = 99", 1)
    (tmp_path / "training.toml").write_text(text)
    with pytest.raises(StorageError, match="has format 99, this mnas reads format 1"):
        ModelFolder(tmp_path).settings()


def test_settings_survive_their_file(tmp_path):
    settings = replace(SETTINGS, weights="timm:x", run="/runs/a", trial=3, recipe=Recipe(epochs=9, learning_rate=0.1))
    model = ModelFolder(tmp_path)
    with model.locked():
        model.begin(settings, ("a", "b"), resume=False)
    assert model.settings() == settings
    assert model.class_names() == ("a", "b")


def test_the_test_split_is_scored_when_asked_for_and_stands_on_the_card(trained):
    scores = evaluate_model(trained, "test")
    assert ModelFolder(trained).scores()["test"] == scores
    assert f"{100 * scores.accuracy:.2f}" in (trained / "card.md").read_text()


def test_a_data_set_of_other_classes_is_refused(trained, tmp_path):
    import numpy as np

    pixels = np.zeros((40, 12, 12), dtype=np.uint8)
    labels = np.arange(40) % 4
    names = np.array(["ant", "bee", "cow", "dog"])
    np.savez(tmp_path / "x.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels, class_names=names)
    with pytest.raises(SettingsError, match="names 10 classes, data set 'x' has 4"):
        evaluate_model(trained, "test", Part.model_validate({"name": "npz", "path": str(tmp_path / "x.npz")}))


def test_a_folder_that_is_not_trained_to_the_end_has_nothing_to_export(tmp_path):
    with pytest.raises(KilledError):
        train_model(SETTINGS, tmp_path / "model", watch=killed_at(1))
    with pytest.raises(SettingsError, match="not trained to the end"):
        export_model(tmp_path / "model", ["onnx"])
    with pytest.raises(SettingsError, match="no model's folder"):
        export_model(tmp_path, ["onnx"])


def test_an_export_is_checked_kept_and_described(trained):
    (made,) = export_model(trained, ["onnx"])
    assert made.path == trained / "model.onnx"
    assert made.agreement == 1.0
    assert ModelFolder(trained).exports() == [made]
    assert made.sha256 in (trained / "card.html").read_text()
    made.path.unlink()
    assert ModelFolder(trained).exports() == []


def test_an_unknown_format_is_refused(trained):
    with pytest.raises(SettingsError, match="unknown export format 'onx': did you mean 'onnx'"):
        export_model(trained, ["onx"])


def test_damaged_scores_are_named(trained, tmp_path):
    (tmp_path / "scores.json").write_text('{"validation": ')
    with pytest.raises(StorageError, match=r"scores\.json is damaged"):
        ModelFolder(tmp_path).scores()
    assert json.loads((trained / "scores.json").read_text())


def test_a_sample_is_spread_over_the_split_and_not_more_than_asked_for():
    images = make_dataset(Part(name="digits"), ARCHITECTURE).split("train")
    pixels, labels = sample(images, 100)
    assert len(pixels) == len(labels) <= 100
    assert len(labels) >= 64
    assert set(labels.tolist()) == set(range(10))
    everything, _ = sample(images, 10**6)
    assert len(everything) == len(images)
