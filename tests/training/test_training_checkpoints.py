"""A training that was killed goes on to the same result; what cannot be gone on from says why."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import resource
import signal
import time

import pytest
import safetensors
import torch
from small_training import TINY, FewDigits, digest, trained

from mnas.errors import StorageError, TrainingError
from mnas.models import build_model
from mnas.space import Head
from mnas.training import Checkpoints, Recipe, train


class Stop(Exception):  # noqa: N818
    pass


def stop_at(step):
    def on_step(progress):
        if progress.step == step:
            raise Stop

    return on_step


def interrupted(folder, step, **settings):
    with pytest.raises(Stop):
        trained(checkpoints=Checkpoints(folder, every_seconds=0), on_step=stop_at(step), **settings)


KINDS = [
    {},
    {"optimizer": "sgd", "schedule": "cosine", "ema": 0.0, "norm_warmup": False},
    {"optimizer": "adamw", "learning_rate": 1e-3, "randaugment": 9, "erasing": 0.5, "mixup": 0.2},
    {"sampling": "balanced"},
]


@pytest.mark.parametrize("settings", KINDS, ids=["rmsprop-tf", "sgd", "adamw", "balanced"])
@pytest.mark.parametrize("step", [2, 3, 5, 7])
def test_a_resumed_training_ends_as_the_uninterrupted_one_bit_for_bit(tmp_path, settings, step):
    """Within an epoch and at its end, with dropout, shifts, mirrors and all that is drawn by chance."""
    whole, first = trained(**settings)
    interrupted(tmp_path, step, **settings)
    again, second = trained(checkpoints=Checkpoints(tmp_path, resume=True), **settings)
    assert digest(again) == digest(whole)
    assert (second.curve, second.losses, second.images) == (first.curve, first.losses, first.images)


class InterruptedEvaluation(FewDigits):
    """Ctrl-C comes in the second look at the validation images."""

    looks = 0

    def split(self, part):
        if part == "validation":
            type(self).looks += 1
            if self.looks == 2:
                signal.raise_signal(signal.SIGINT)
        return super().split(part)


def step_of(folder) -> int:
    with safetensors.safe_open(Checkpoints(folder).path, "pt") as file:
        return json.loads(file.metadata()["mnas.checkpoint"])["facts"]["step"]


@pytest.mark.parametrize("step", [1, 3, 4, 8])
def test_ctrl_c_leaves_a_checkpoint_of_the_step_it_was_at(tmp_path, step):
    """Though the next one by the clock is an hour away."""
    whole, first = trained()
    before = signal.getsignal(signal.SIGINT)

    def interrupt(progress):
        if progress.step == step:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        trained(checkpoints=Checkpoints(tmp_path, every_seconds=3600), on_step=interrupt)
    assert caught.value.__notes__ == [f"a checkpoint of step {step} is kept"]
    assert step_of(tmp_path) == step
    assert signal.getsignal(signal.SIGINT) is before
    again, second = trained(checkpoints=Checkpoints(tmp_path, resume=True))
    assert digest(again) == digest(whole)
    assert (second.curve, second.losses, second.images) == (first.curve, first.losses, first.images)


def test_ctrl_c_while_it_evaluates_leaves_the_epochs_last_step(tmp_path):
    whole, first = trained()
    with pytest.raises(KeyboardInterrupt):
        trained(dataset=InterruptedEvaluation(), checkpoints=Checkpoints(tmp_path, every_seconds=3600))
    assert step_of(tmp_path) == 8
    again, second = trained(checkpoints=Checkpoints(tmp_path, resume=True))
    assert digest(again) == digest(whole)
    assert (second.curve, second.losses) == (first.curve, first.losses)


def test_a_second_ctrl_c_does_not_wait_for_the_step(tmp_path):
    def interrupt(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        trained(checkpoints=Checkpoints(tmp_path, every_seconds=3600), on_step=interrupt)
    assert not hasattr(caught.value, "__notes__")
    assert not Checkpoints(tmp_path).path.exists()


def test_writing_checkpoints_changes_nothing(tmp_path):
    assert digest(trained(checkpoints=Checkpoints(tmp_path, every_seconds=0))[0]) == digest(trained()[0])


def test_a_finished_training_that_is_resumed_is_finished(tmp_path):
    done, first = trained(checkpoints=Checkpoints(tmp_path))
    steps = []
    again, second = trained(checkpoints=Checkpoints(tmp_path, resume=True), on_step=steps.append)
    assert (digest(again), second.curve, steps) == (digest(done), first.curve, [])


def test_without_resume_a_training_starts_at_its_beginning(tmp_path):
    interrupted(tmp_path, 3)
    steps = []
    trained(checkpoints=Checkpoints(tmp_path), on_step=steps.append)
    assert steps[0].step == 1


def _train_and_tell(folder, seen, answer):
    torch.set_num_threads(1)

    def on_step(progress):
        seen.value = progress.step
        time.sleep(0.01)

    checkpoints = Checkpoints(folder, every_seconds=0, resume=True)
    model, _ = trained(epochs=4, checkpoints=checkpoints, on_step=on_step)
    answer.put(digest(model))


def killed_until_done(folder, kills, seed):
    """The digest of a training that was killed so many times, at random moments, and started again each time."""
    context, chance = multiprocessing.get_context("fork"), random.Random(seed)
    for left in range(kills, -1, -1):
        seen, answer = context.Value("i", 0), context.Queue()
        child = context.Process(target=_train_and_tell, args=(folder, seen, answer))
        child.start()
        if left == 0:
            result = answer.get(timeout=300)
            child.join()
            return result
        while not seen.value and child.is_alive():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.05))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
    raise AssertionError


@pytest.mark.parametrize(("kills", "seed"), [(2, 0), pytest.param(12, 1, marks=pytest.mark.slow)])
def test_a_process_killed_at_random_moments_and_started_again_ends_as_if_nothing_had_been(tmp_path, kills, seed):
    torch.set_num_threads(1)
    assert killed_until_done(tmp_path, kills, seed) == digest(trained(epochs=4)[0])


def test_a_truncated_checkpoint_is_named(tmp_path):
    interrupted(tmp_path, 3)
    path = Checkpoints(tmp_path).path
    for length in (0, 5, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(StorageError, match=r"checkpoint\.safetensors is not a whole checkpoint.*start again"):
            trained(checkpoints=Checkpoints(tmp_path, resume=True))


def test_another_file_in_its_place_is_named(tmp_path):
    import safetensors.torch

    safetensors.torch.save_file({"weight": torch.zeros(3)}, Checkpoints(tmp_path).path)
    with pytest.raises(StorageError, match="no checkpoint of a training"):
        trained(checkpoints=Checkpoints(tmp_path, resume=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"epochs": 3}, "recipe.epochs 2 there, 3 here"),
        ({"architecture": TINY.replace(head=Head(24, classes=10))}, "architecture .*c16.* there, .*c24.* here"),
        ({"dataset": FewDigits(is_multilabel=True), "architecture": TINY.replace(head=Head(16, classes=11))},
         "dataset 'few-digits at 8 px, 64 images with labels"),
        ({"train_on": "trainval"}, "train_on 'train' there, 'trainval' here"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_training_is_refused_with_the_difference(tmp_path, change, words):
    interrupted(tmp_path, 3)
    with pytest.raises(StorageError, match=f"another training: .*{words}"):
        trained(**{"checkpoints": Checkpoints(tmp_path, resume=True), **change})


def test_on_a_full_disk_the_checkpoint_before_survives(tmp_path):
    """A limit on the size of files stands in for the disk."""
    interrupted(tmp_path, 3)
    path = Checkpoints(tmp_path).path
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*checkpoint.*The one before is kept"):
            trained(checkpoints=Checkpoints(tmp_path, every_seconds=0, resume=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
    assert digest(trained(checkpoints=Checkpoints(tmp_path, resume=True))[0]) == digest(trained()[0])


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_training_that_goes_wrong_names_the_step_and_the_last_good_checkpoint(tmp_path, is_resumed):
    recipe = Recipe(epochs=2, batch=16)
    model = build_model(TINY, seed=0)

    def spoil(progress):
        if progress.step == 6:
            with torch.no_grad():
                model.classifier.weight.fill_(math.nan)

    def go(**settings):
        train(model, FewDigits(), recipe, seed=0, **settings)

    if is_resumed:
        with pytest.raises(Stop):
            go(checkpoints=Checkpoints(tmp_path, every_seconds=0), on_step=stop_at(4))
    words = "the last good checkpoint is of step 3, .*safetensors" if is_resumed else "no checkpoint from before"
    with pytest.raises(TrainingError, match=rf"epoch 2, step 3 of 4: the loss is nan.*{words}"):
        go(checkpoints=Checkpoints(tmp_path, every_seconds=3600, resume=True), on_step=spoil)
