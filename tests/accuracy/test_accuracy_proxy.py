"""The proxy task keeps the estimators' promises, and the final training measures on the test split."""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from mnas.accuracy import ProxyTask, retrain
from mnas.datasets import DigitsDataset
from mnas.errors import SettingsError, TrainingError
from mnas.space import Architecture, Head
from mnas.testing import EstimatorConformance
from mnas.training import Recipe, evaluate

SMALL = Architecture.parse("input_r8_c1 stem_k3_s1_c16 ds_r1_k3_s1_c16 ir_r2_k5_s2_e3_c24_se0.25 head_c64_n10")


def task(**settings):
    return ProxyTask(DigitsDataset(resolution=8), **{"epochs": 1, **settings})


class TestProxyTask(EstimatorConformance):
    def make(self):
        return task()

    def architecture(self):
        return SMALL


def test_the_curve_has_the_accuracy_of_each_epoch_and_ends_at_the_estimate():
    estimate = task(epochs=3).estimate(SMALL, seed=0)
    assert len(estimate.curve) == 3
    assert estimate.curve[-1] == estimate.accuracy
    assert estimate.seconds > 0


def test_the_test_split_is_not_touched(monkeypatch):
    asked = []
    split = DigitsDataset.split
    monkeypatch.setattr(DigitsDataset, "split", lambda self, part: asked.append(part) or split(self, part))
    task().estimate(SMALL, seed=0)
    assert set(asked) == {"train", "validation"}


@pytest.mark.slow
def test_retraining_takes_training_and_validation_images_and_measures_on_the_test_split(monkeypatch):
    asked = []
    split = DigitsDataset.split
    monkeypatch.setattr(DigitsDataset, "split", lambda self, part: asked.append(part) or split(self, part))
    dataset = DigitsDataset(resolution=8)
    trained = retrain(SMALL, dataset, Recipe(epochs=4), seed=1)
    assert asked == ["trainval", "test"]
    assert trained.accuracy == evaluate(trained.module, dataset, "test") > 0.5
    assert trained.accuracy == retrain(SMALL, dataset, Recipe(epochs=4), seed=1).accuracy


@pytest.mark.slow
def test_another_process_gives_the_same_estimate():
    here = task().estimate(SMALL, seed=5)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        there = pool.submit(task().estimate, SMALL, 5).result()
    assert (here.accuracy, here.curve) == (there.accuracy, there.curve)


@pytest.mark.parametrize("learning_rate", [None, 1e6])
def test_torch_has_its_threads_back_however_it_ends(learning_rate):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        if learning_rate is None:
            task().estimate(SMALL, seed=0)
        else:
            with pytest.raises(TrainingError):
                task(learning_rate=learning_rate, warmup_epochs=0).estimate(SMALL, seed=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_tasks_that_differ_in_data_or_recipe_have_different_names():
    tasks = [task(), task(epochs=2), task(learning_rate=0.1), ProxyTask(DigitsDataset(resolution=16), epochs=1)]
    assert len({each.task for each in tasks}) == len(tasks)
    assert "digits validation at 8 px" in task().task


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resolution": 16}, "resolution 16, not 8"),
        ({"input_channels": 3}, "input channels 3, not 1"),
        ({"head": Head(64, classes=1000)}, "classes 1000, not 10"),
    ],
)
def test_an_architecture_for_other_images_is_refused_with_the_difference(change, words):
    with pytest.raises(SettingsError, match=words):
        task().estimate(SMALL.replace(**change), seed=0)
    with pytest.raises(SettingsError, match=words):
        retrain(SMALL.replace(**change), DigitsDataset(resolution=8), Recipe(epochs=1), seed=0)


@pytest.mark.parametrize("setting", [{"threads": 0}, {"epochs": 0}, {"dropout": 2}])
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(SettingsError, match=next(iter(setting))):
        task(**setting)


def test_settings_are_those_of_the_recipe():
    """Each recipe setting but the schedule's length can be set, and has the recipe's default."""
    assert task(epochs=Recipe.epochs).recipe == Recipe()
    changed = {"batch": 32, "learning_rate": 0.1, "warmup_epochs": 0.1, "weight_decay": 0.1, "label_smoothing": 0.0}
    changed |= {"dropout": 0.1, "ema": 0.0, "shift": 0.1, "mirror": False, "epochs": 7}
    assert task(**changed).recipe == Recipe(**changed)


@pytest.mark.slow
def test_the_quickstart_trains_its_networks_to_useful_accuracies():
    """Random members of the space that the quickstart searches: most learn, and they differ."""
    import random

    from mnas.space import mnasnet_space

    space = mnasnet_space(0.35, 16, (1, 1, 2, 2, 1, 1, 1), 2, 128, classes=10, input_channels=1)
    estimator = ProxyTask(DigitsDataset(resolution=16), epochs=6)
    generator = random.Random(0)
    found = [estimator.estimate(space.decode(space.sample(generator)), seed).accuracy for seed in range(10)]
    assert max(found) > 0.93
    assert sorted(found)[5] > 0.8
    assert not math.isclose(min(found), max(found), abs_tol=0.02)
