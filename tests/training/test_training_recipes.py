"""Recipes load by name and from files, say what is wrong, and imagenet-mnasnet is the paper's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tomli_w
from torch import nn

from mnas.errors import SettingsError
from mnas.models import build_model, reference_architecture
from mnas.training import Recipe, learning_rate, load_recipe, peak_learning_rate, recipe_names, recipe_text

STEPS_PER_EPOCH = 1_281_167 // 4096


def test_the_shipped_recipes_are_these_and_load():
    assert recipe_names() == [
        "finetune", "imagenet-mnasnet", "imagenet-modern", "small-images", "ssdlite-coco", "ssdlite-small",
    ]  # fmt: skip
    assert all(isinstance(load_recipe(name), Recipe) for name in recipe_names())


def test_shipped_recipes_have_no_rates_that_make_up_for_short_trainings():
    for name in recipe_names():
        recipe = load_recipe(name)
        is_for_hundreds_of_steps = name in ("finetune", "small-images", "ssdlite-small")
        expected = (0, False, is_for_hundreds_of_steps)
        assert (recipe.schedule_epochs, recipe.short_rate, recipe.norm_warmup) == expected


def test_the_imagenet_recipe_is_the_papers():
    recipe = load_recipe("imagenet-mnasnet")
    wanted = {
        "epochs": 350, "batch": 4096, "warmup_epochs": 5, "weight_decay": 1e-5, "dropout": 0.2,
        "label_smoothing": 0.1,
        "ema": 0.9999, "optimizer": "rmsprop-tf", "momentum": 0.9, "resolution": 224, "mirror": True, "shift": 0,
        "clip": 0, "randaugment": 0, "erasing": 0, "mixup": 0,
    }  # fmt: skip
    assert {name: getattr(recipe, name) for name in wanted} == wanted
    model = build_model(reference_architecture("mnasnet-a1"), dropout=recipe.dropout, seed=0)
    norms = {(m.momentum, m.eps) for m in model.modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms == {(0.01, 1e-3)}


def test_its_learning_rate_is_the_papers_formula_at_every_step():
    """Linear to 0.256 in 5 epochs, then 0.256 x 0.97^floor(epoch / 2.4), counted from step 0."""
    recipe = load_recipe("imagenet-mnasnet")
    warm = 5 * STEPS_PER_EPOCH
    for step in range(0, 350 * STEPS_PER_EPOCH, 37):
        epoch = step / STEPS_PER_EPOCH
        rate = learning_rate(recipe, step, STEPS_PER_EPOCH)
        if step < warm:
            assert rate == pytest.approx(0.256 * step / warm, abs=0.256 / warm)  # no step is left out: one step ahead
        else:
            assert rate == pytest.approx(0.256 * 0.97 ** int(epoch / 2.4), rel=1e-9)


@pytest.mark.parametrize(("batch", "peak"), [(4096, 0.256), (1024, 0.064), (128, 0.008)])
def test_its_peak_follows_the_batch(batch, peak):
    assert peak_learning_rate(replace(load_recipe("imagenet-mnasnet"), batch=batch), 100) == pytest.approx(peak)


def test_a_cosine_falls_from_the_peak_to_nothing():
    recipe = Recipe(epochs=10, learning_rate=1.0, warmup_epochs=2, schedule="cosine")
    rates = [learning_rate(recipe, step, 50) for step in range(500)]
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[100] == 1.0
    assert rates[300] == pytest.approx(0.5)
    assert 0 < rates[-1] < 1e-3


@pytest.mark.parametrize("name", ["finetune", "imagenet-mnasnet", "imagenet-modern", "small-images"])
def test_a_recipe_survives_a_file(tmp_path, name):
    recipe = load_recipe(name)
    for text in (tomli_w.dumps(recipe.to_dict()), recipe_text(name)):
        (tmp_path / "mine.toml").write_text(text)
        assert load_recipe(tmp_path / "mine.toml") == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "unknown key 'epoch': did you mean 'epochs'"),
        ("epochs = 'many'", "epochs: .*integer.*got 'many'"),
        ("epochs = 0", "epochs should be at least 1"),
        ("optimizer = 'adam'", "optimizer: .*rmsprop-tf"),
        ("epochs", "not TOML"),
    ],
)
def test_a_file_with_a_mistake_is_refused_by_name_and_key(tmp_path, text, words):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SettingsError, match=rf"mine\.toml.*{words}"):
        load_recipe(tmp_path / "mine.toml")


def test_unknown_recipes_and_files_are_named():
    with pytest.raises(SettingsError, match="did you mean 'imagenet-mnasnet'"):
        load_recipe("imagenet-mnastnet")
    with pytest.raises(SettingsError, match=r"there is no recipe file nowhere/mine\.toml"):
        load_recipe("nowhere/mine.toml")
    with pytest.raises(SettingsError, match="did you mean 'finetune'"):
        recipe_text("finetun")


def test_the_proxys_description_is_what_stored_runs_know():
    """A run is refused where its task reads differently: new settings are told only where they are set."""
    assert str(Recipe(epochs=5)) == (
        "epochs 5, batch 64, learning rate by length, warmup epochs 0.5, weight decay 1e-05, label smoothing 0.1, "
        "dropout 0.0, ema 0.9999, shift 0.0, mirror True, schedule epochs 350.0"
    )
    assert str(Recipe(optimizer="sgd", clip=1.0)).endswith("optimizer sgd, clip 1.0")
