"""What one step does: optimizers, pieces of a batch, precision, losses, and what is told of it."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from small_training import TINY, FewDigits, Noise, digest, trained
from torch import nn

from mnas._torchvision import import_torchvision
from mnas.errors import SettingsError
from mnas.models import build_model
from mnas.space import Head
from mnas.training import Hardware, Recipe, evaluate, learning_rate, train

TWO = TINY.replace(head=Head(16, classes=2))
ELEVEN = TINY.replace(head=Head(16, classes=11))
PLAIN = {"ema": 0.0, "mirror": False, "shift": 0.0, "dropout": 0.0, "norm_warmup": False}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def optimizer_of(name, groups):
    if name == "sgd":
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=0.1)
    import_torchvision()
    return pytest.importorskip("timm.optim").RMSpropTF(groups, lr=0.1, alpha=0.9, momentum=0.9, eps=1e-3)


def plain_steps(recipe, pieces):
    """The same training, a tensor at a time; each batch in so many pieces."""
    data, model = Noise(), build_model(TWO, seed=0)
    norms = [w for child in model.modules() if isinstance(child, nn.BatchNorm2d) for w in child.parameters()]
    others = [w for w in model.parameters() if all(w is not norm for norm in norms)]
    groups = [{"params": others, "weight_decay": recipe.weight_decay}, {"params": norms, "weight_decay": 0.0}]
    optimizer, generator, step = optimizer_of(recipe.optimizer, groups), torch.Generator().manual_seed(0), 0
    for _ in range(recipe.epochs):
        seed = int(torch.randint(2**62, (), generator=generator))
        batches = data.split("train").batches(recipe.batch // pieces, seed)
        for pixels, labels in batches:
            for number in range(pieces):
                if number:
                    pixels, labels = next(batches)
                loss = F.cross_entropy(model((pixels / 255 - 0.5) / 0.25), labels, label_smoothing=0.1)
                (loss / pieces).backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, step, 48 // recipe.batch)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    return model


@pytest.mark.parametrize("optimizer", ["rmsprop-tf", "sgd", "adamw"])
@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_weights_after_four_steps_are_those_of_a_plain_loop(optimizer, pieces, clip):
    """With timm's RMSpropTF and torch's own others; several pieces are gradient accumulation."""
    rate = 1e-3 if optimizer == "adamw" else 0.05
    recipe = Recipe(2, 24, rate, weight_decay=1e-2, clip=clip, optimizer=optimizer, **{**PLAIN, "dropout": 0})
    model = build_model(TWO, seed=0)
    train(model, Noise(), recipe, seed=0, evaluate_on=None, hardware=Hardware(images_at_once=24 // pieces))
    plain, start = plain_steps(recipe, pieces), build_model(TWO, seed=0)
    pixels = (Noise().split("train").pixels / 255 - 0.5) / 0.25
    torch.testing.assert_close(model(pixels), plain(pixels), rtol=2e-3, atol=2e-4)
    assert (model(pixels) - start(pixels)).abs().max() > 0.01
    if optimizer == "adamw":
        return  # shifts that the next batch norm takes away: their gradient is rounding, of which Adam takes the sign
    for ours, theirs, first in zip(model.parameters(), plain.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-5)
        assert not torch.equal(ours, first)


def test_in_pieces_the_statistics_move_once_a_step_by_the_mean_of_the_pieces():
    recipe = Recipe(1, 48, 1e-9, **{**PLAIN, "warmup_epochs": 0})
    model = build_model(TWO, seed=0)
    train(model, Noise(), recipe, seed=0, evaluate_on=None, hardware=Hardware(images_at_once=24))
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(0)))
    means = []
    for pixels, _ in Noise().split("train").batches(24, seed):
        other = build_model(TWO, seed=0)
        other((pixels / 255 - 0.5) / 0.25)
        means.append(other.stem.norm.running_mean)
    torch.testing.assert_close(model.stem.norm.running_mean, (means[0] + means[1]) / 2)


@pytest.mark.parametrize("at_once", [5, 1, 7])
def test_a_batch_that_cannot_be_cut_evenly_is_refused(at_once):
    with pytest.raises(SettingsError, match="images_at_once should"):
        trained(hardware=Hardware(images_at_once=at_once))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains_nearly_the_same(precision):
    whole, first = trained(epochs=4, dropout=0.0)
    half, second = trained(epochs=4, dropout=0.0, hardware=Hardware(precision=precision))
    assert digest(whole) != digest(half)
    assert second.losses == pytest.approx(first.losses, rel=0.1)
    assert {value.dtype for value in half.parameters()} == {torch.float32}


def test_a_gpu_that_is_not_there_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SettingsError, match="no CUDA GPU"):
        trained(hardware=Hardware(device="cuda"))


@pytest.mark.parametrize("change", [{"device": "tpu"}, {"precision": "int8"}, {"images_at_once": 1}])
def test_hardware_out_of_range_is_refused_by_name(change):
    with pytest.raises(SettingsError, match=next(iter(change))):
        Hardware(**change)


def test_compiling_goes_without_the_warm_up_of_batch_norm():
    with pytest.raises(SettingsError, match="norm_warmup = false"):
        trained(hardware=Hardware(compile=True))


@pytest.mark.slow  # a compiler runs for a minute
def test_a_compiled_training_is_nearly_the_same():
    settings = {"norm_warmup": False, "dropout": 0.0}
    whole, first = trained(**settings)
    _, second = trained(**settings, hardware=Hardware(compile=True))
    assert second.losses == pytest.approx(first.losses, rel=1e-3)
    assert digest(whole)


def test_progress_counts_steps_and_tells_loss_rate_and_speed():
    told = []
    _, result = trained(on_step=told.append)
    assert [(each.epoch, each.step, each.steps) for each in told] == [(1 + n // 4, n + 1, 8) for n in range(8)]
    recipe = Recipe(epochs=2, batch=16)
    assert [each.learning_rate for each in told] == [learning_rate(recipe, n, 4) for n in range(8)]
    assert sum(each.loss for each in told[:4]) / 4 == pytest.approx(result.losses[0])
    assert all(each.images_per_second > 0 for each in told)
    assert told[-1].seconds_left == 0 < told[0].seconds_left


def test_several_labels_per_image_are_learned():
    data, rate = FewDigits(is_multilabel=True), {"optimizer": "adamw", "learning_rate": 0.01, "schedule": "cosine"}
    settings = {"ema": 0.0, "mirror": False, "shift": 0.0, "dropout": 0.0, "label_smoothing": 0.0, **rate}
    model, result = trained(architecture=ELEVEN, dataset=data, epochs=40, **settings)
    assert result.curve[-1] > 0.4  # F1 of ten classes and of being odd; never "there": 0, always: 0.24
    assert evaluate(model, data, "train") > 0.6


def test_balanced_weights_make_a_rare_class_count_as_much():
    """With noise there is nothing to learn but how frequent the classes are, and then they are equally so."""
    shares = {}
    for weights in ("none", "balanced"):
        model, _ = trained(
            architecture=TWO, dataset=Noise(images=48, rare=6), epochs=12, class_weights=weights, ema=0.0
        )
        with torch.no_grad():
            pixels = torch.randint(256, (500, 1, 8, 8), generator=torch.Generator().manual_seed(1))
            logits = model.eval()((pixels / 255 - 0.5) / 0.25)
        shares[weights] = logits.softmax(1)[:, 1].mean().item()
    assert shares["none"] < 0.3 < shares["balanced"]


@pytest.mark.slow
def test_a_student_learns_its_teachers_answers():
    """Without a single label: the loss is the teacher's alone."""
    settings = {"optimizer": "adamw", "learning_rate": 0.01, "schedule": "cosine", "epochs": 40, "ema": 0.0}
    settings |= {"mirror": False, "shift": 0.0, "dropout": 0.0, "label_smoothing": 0.0}
    teacher, _ = trained(**settings)
    before = digest(teacher)
    student, result = trained(seed=1, teacher=teacher, distillation=1.0, temperature=2.0, **settings)
    assert (digest(teacher), teacher.training) == (before, True)
    assert result.losses[-1] < result.losses[0] / 3
    assert evaluate(student, FewDigits(), "train") > 0.6


@pytest.mark.parametrize("settings", [{"distillation": 0.5}, {"teacher": build_model(TINY, seed=0)}])
def test_a_teacher_and_a_share_for_it_go_together(settings):
    with pytest.raises(SettingsError, match="distillation should be above zero where there is a teacher"):
        trained(**settings)


def test_a_trained_module_is_where_it_was():
    model, _ = trained(optimizer="sgd", randaugment=5, erasing=0.3, mixup=0.2)
    assert {value.device.type for value in model.parameters()} == {"cpu"}
    assert all(math.isfinite(value.sum().item()) for value in copy.deepcopy(model).parameters())
