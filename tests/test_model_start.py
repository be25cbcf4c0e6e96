"""Promises of what a model's training starts from: given weights and a teacher, or a refusal that binds nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mnas.config import Part
from mnas.errors import SettingsError
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.model_run import Watch, train_model
from mnas.models import TrainedModel, import_torchvision, load_model, reference_architecture, save_model
from mnas.space import Architecture
from mnas.training import Recipe

BLOCKS = "input_r12_c1 stem_k3_s1_c8 ds_r1_k3_s2_c16 ir_r1_k3_s2_e2_c24 head_c32_n10"
SETTINGS = TrainingSettings("small", Architecture.parse(BLOCKS), Part(name="digits"), Recipe(epochs=2))
# One epoch whose steps move nothing: what comes out of it is what went in.
STILL = Recipe(epochs=1, learning_rate=1e-12, ema=0.0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "model"
    train_model(SETTINGS, folder)
    return folder


def test_a_training_starts_from_the_weights_that_it_is_given(trained, tmp_path):
    settings = replace(SETTINGS, recipe=STILL, weights=str(trained), seed=1)
    said: list[str] = []
    model = train_model(settings, tmp_path / "model", watch=Watch(phase=said.append))
    before, after = ModelFolder(trained).trained().module, model.trained().module
    assert torch.allclose(before.classifier.weight, after.classifier.weight, atol=1e-5)
    assert torch.allclose(before.stem.conv.weight, after.stem.conv.weight, atol=1e-5)
    assert f"loading the weights {trained}" in said
    assert model.settings().weights == str(trained)
    assert f"starts from | {trained}" in (model.path / "card.md").read_text()


def test_a_student_with_a_teacher_comes_out_otherwise_than_without(trained, tmp_path):
    distilled = replace(SETTINGS.recipe, distillation=0.9, temperature=2.0)
    alone = ModelFolder(trained).trained().module
    taught = train_model(replace(SETTINGS, recipe=distilled, teacher=str(trained)), tmp_path / "model")
    assert not torch.equal(alone.classifier.weight, taught.trained().module.classifier.weight)
    assert taught.settings().teacher == str(trained)


def refused(settings: TrainingSettings, folder: Path) -> str:
    """The message, after which the folder takes other settings."""
    with pytest.raises(SettingsError) as caught:
        train_model(settings, folder)
    assert not ModelFolder(folder).is_begun
    train_model(replace(SETTINGS, recipe=STILL), folder)
    return str(caught.value)


def test_weights_that_do_not_fit_leave_nothing_begun(trained, tmp_path):
    other = Architecture.parse(BLOCKS.replace("k3_s2_c16", "k5_s2_c16"))
    message = refused(replace(SETTINGS, architecture=other, weights=str(trained)), tmp_path / "model")
    assert "should be of the same architecture" in message


def test_a_teacher_of_other_classes_is_refused_and_leaves_nothing_begun(trained, tmp_path):
    model = load_model(trained / "model.safetensors")
    (tmp_path / "teacher").mkdir()
    names = ("another", *model.class_names[1:])
    of_others = TrainedModel(model.module, names, model.preprocessing)
    save_model(tmp_path / "teacher" / "model.safetensors", of_others)
    distilled = replace(SETTINGS.recipe, distillation=0.5)
    settings = replace(SETTINGS, recipe=distilled, teacher=str(tmp_path / "teacher"))
    message = refused(settings, tmp_path / "model")
    assert "names 10 classes, data set 'digits' has 10, which differ in another: let it teach on images" in message


def test_published_weights_are_fine_tuned_on_grey_images_of_other_classes(tmp_path, monkeypatch):
    """From timm's name to a model on disk; random weights stand in for those that timm publishes."""
    import_torchvision()
    timm = pytest.importorskip("timm")
    published = timm.create_model("semnasnet_075", pretrained=False)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: published)
    asked = reference_architecture("mnasnet-a1", width=0.75)
    settings = TrainingSettings(
        "mnasnet-a1", asked, Part(name="digits", resolution=12), STILL, weights="timm:semnasnet_075"
    )
    model = train_model(settings, tmp_path / "model").trained()
    assert (model.architecture.head.classes, model.architecture.input_channels) == (10, 1)
    assert model.architecture.bn_eps == 1e-5
    stem = published.conv_stem.weight.detach().sum(1, keepdim=True)
    assert torch.allclose(model.module.stem.conv.weight, stem, atol=1e-5)
    assert model.class_names == tuple("0123456789")


def test_a_published_model_teaches_by_its_name(tmp_path, monkeypatch):
    """From --teacher's name to a student on disk; a random model of two classes stands in for the published one."""
    import_torchvision()
    timm = pytest.importorskip("timm")
    published = timm.create_model("mobilenetv3_small_050", pretrained=False, num_classes=2)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: published)
    pixels = np.random.default_rng(0).integers(0, 256, (80, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(80) % 2
    np.savez(tmp_path / "x.npz", x_train=pixels, y_train=labels, x_test=pixels[:20], y_test=labels[:20])
    data = Part.model_validate({"name": "npz", "path": str(tmp_path / "x.npz")})
    architecture = Architecture.parse(BLOCKS.replace("r12_c1", "r32_c3"))
    taught, alone = (
        train_model(TrainingSettings("small", architecture, data, recipe, teacher=teacher), tmp_path / name).trained()
        for name, recipe, teacher in (
            ("taught", Recipe(epochs=1, distillation=0.9), "timm:mobilenetv3_small_050"),
            ("alone", Recipe(epochs=1), None),
        )
    )
    assert not torch.equal(taught.module.classifier.weight, alone.module.classifier.weight)
    assert taught.made["model"]["teacher"] == "timm:mobilenetv3_small_050"
