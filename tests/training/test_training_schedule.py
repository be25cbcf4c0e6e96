"""The learning rate over a training, and the recipes that are refused."""

from __future__ import annotations

import pytest

from mnas.errors import SettingsError
from mnas.training import Recipe, learning_rate, peak_learning_rate


def rates(recipe, steps_per_epoch):
    return [learning_rate(recipe, step, steps_per_epoch) for step in range(recipe.epochs * steps_per_epoch)]


def test_the_papers_training_has_the_papers_schedule():
    """Up to 0.256 over 5 epochs, then x0.97 every 2.4 epochs counted from the start."""
    recipe = Recipe(epochs=350, batch=4096, learning_rate=0.256, warmup_epochs=5)
    each = rates(recipe, 10)
    assert each[:50] == sorted(each[:50])
    assert each[0] < 0.01
    assert max(each) < 0.256
    for epoch in (5, 100, 349):
        assert each[epoch * 10] == pytest.approx(0.256 * 0.97 ** int(epoch / 2.4))


@pytest.mark.parametrize("epochs", [1, 5, 20, 350])
def test_every_length_ends_at_the_same_share_of_its_peak(epochs):
    last = rates(Recipe(epochs=epochs, learning_rate=1.0, warmup_epochs=0), 1000)[-1]
    assert last == pytest.approx(0.97**145, rel=0.04)


def test_after_the_warm_up_rates_only_fall():
    each = rates(Recipe(epochs=6, learning_rate=1.0, warmup_epochs=1), 16)
    assert each[:16] == sorted(each[:16])
    assert each[16:] == sorted(each[16:], reverse=True)


def test_without_a_learning_rate_the_peak_is_the_official_one_for_long_trainings_and_higher_for_short_ones():
    recipe = Recipe(batch=256)
    assert peak_learning_rate(recipe, 10**9) == pytest.approx(0.016, rel=1e-4)
    assert peak_learning_rate(recipe, 100) > 10 * peak_learning_rate(recipe, 10**5)
    assert peak_learning_rate(Recipe(learning_rate=0.3), 100) == 0.3


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0}, {"batch": 1}, {"learning_rate": 0}, {"warmup_epochs": 6}, {"weight_decay": -1},
        {"label_smoothing": 1}, {"dropout": 1}, {"ema": 1}, {"shift": 0.6}, {"schedule_epochs": -1},
        {"optimizer": "adam"}, {"momentum": 1}, {"schedule": "steps"}, {"rate_per_256": 0}, {"clip": -1},
        {"randaugment": 11}, {"erasing": 2}, {"mixup": -1}, {"class_weights": "yes"}, {"distillation": 2},
        {"temperature": 0}, {"resolution": -1}, {"sampling": "even"},
        {"class_weights": "balanced", "sampling": "balanced"},
    ],
)  # fmt: skip
def test_recipes_out_of_range_are_refused_by_name(change):
    with pytest.raises(SettingsError, match=next(iter(change))):
        Recipe(**change)


def test_recipes_that_differ_read_differently():
    changes = (
        {},
        {"epochs": 6},
        {"batch": 32},
        {"learning_rate": 0.1},
        {"ema": 0.0},
        {"shift": 0.1},
        {"mirror": False},
    )
    assert len({str(Recipe(**change)) for change in changes}) == len(changes)
