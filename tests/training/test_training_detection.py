"""Detectors are trained by SSD's losses, as torchvision's are, and go on after interruptions to the same weights."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from small_training import digest

from mnas._torchvision import import_torchvision
from mnas.errors import SettingsError, StorageError
from mnas.models import build_detector, decode_boxes, default_boxes, detections_of, encode_boxes
from mnas.space import Architecture
from mnas.training import Checkpoints, Detection, Recipe, detect, learning_rate, load_recipe, train
from mnas.training._augment import RandomMoves
from mnas.training._detection import BoxMirror
from mnas.training._detection_loss import BoxLoss
from mnas.training._evaluate import Normalize

TINY = Architecture.parse("input_r64_c3 stem_k3_s2_c8 ds_k3_s2_c16 ir_k3_s2_e3_c24 ssdlite_c32_n2_w0.1")
RECIPE = Recipe(
    epochs=2, batch=8, optimizer="sgd", schedule="cosine", learning_rate=0.02, label_smoothing=0.0, ema=0.9,
    schedule_epochs=0, short_rate=False,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Squares:
    """Bright squares on noise: class 0 is red, class 1 green."""

    count: int = 32

    name = "squares"
    class_names = ("red", "green")
    channels = 3
    resolution = 64
    mirrors = True
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)

    def split(self, part):
        return SquareImages(self.count if part == "train" else 16, 0 if part == "train" else 1)


class SquareImages:
    is_cropped = False

    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.pixels = torch.randint(100, (count, 3, 64, 64), generator=generator).to(torch.uint8)
        self.boxes = torch.full((count, 2, 5), -1.0)
        for image, rows in zip(self.pixels, self.boxes, strict=True):
            for index in range(int(torch.randint(1, 3, (), generator=generator))):
                side = int(torch.randint(16, 29, (), generator=generator))
                x, y = torch.randint(0, 33 - side + 2, (2,), generator=generator).tolist()
                x += 32 * index  # left and right, so that none hides another
                kind = int(torch.randint(2, (), generator=generator))
                image[:, y : y + side, x : x + side] = 0
                image[kind, y : y + side, x : x + side] = 255
                rows[index] = torch.tensor([x / 64, y / 64, min(x + side, 64) / 64, (y + side) / 64, kind])
        self.image_ids = tuple(range(1, count + 1))

    def __len__(self):
        return len(self.pixels)

    def batches(self, size, seed=None, start=0, step=1):
        generator = torch.Generator().manual_seed(seed or 0)
        order = torch.arange(len(self)) if seed is None else torch.randperm(len(self), generator=generator)
        for some in torch.split(order, size)[start::step]:
            yield self.pixels[some], self.boxes[some]

    def truth(self):
        rows = [(image, row) for image, some in zip(self.image_ids, self.boxes, strict=True) for row in some]
        annotations = [
            {"id": number, "image_id": image, "category_id": int(c) + 1, "bbox": [x1 * 64, y1 * 64, w, h],
             "area": w * h, "iscrowd": 0}
            for number, (image, (x1, y1, x2, y2, c)) in enumerate(((i, r.tolist()) for i, r in rows), 1)
            if c >= 0 for w, h in [((x2 - x1) * 64, (y2 - y1) * 64)]
        ]  # fmt: skip
        images = [{"id": name, "width": 64, "height": 64, "file_name": f"{name}.png"} for name in self.image_ids]
        return {"images": images, "annotations": annotations,
                "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}]}  # fmt: skip


def trained(recipe=RECIPE, dataset=None, seed=0, **options):
    detector = build_detector(TINY, seed=seed)
    task = Detection(TINY, recipe)
    return detector, train(detector, dataset or Squares(), recipe, seed=seed, task=task, **options)


def example(images=3, objects=4, seed=0):
    """Outputs, boxes with rows not in use, and the default boxes."""
    generator, boxes = torch.Generator().manual_seed(seed), default_boxes(TINY)
    outputs = torch.randn(images, len(boxes), 4 + 1 + 2, generator=generator, requires_grad=True)
    corners = torch.rand(images, objects, 2, 2, generator=generator).sort(2).values
    corners[:, :, 1] += 0.05
    rows = torch.cat([corners.flatten(2), torch.randint(2, (images, objects, 1), generator=generator)], 2)
    rows[0, 2:, 4] = -1
    return outputs, rows, boxes


def torchvision_s_loss(outputs, rows, boxes):
    import_torchvision()
    from torchvision.models.detection._utils import BoxCoder, SSDMatcher
    from torchvision.models.detection.ssd import SSD
    from torchvision.ops import box_iou

    ssd = SSD.__new__(SSD)
    torch.nn.Module.__init__(ssd)
    ssd.box_coder, ssd.neg_to_pos_ratio = BoxCoder((10.0, 10.0, 5.0, 5.0)), 3.0
    used = [some[some[:, 4] >= 0] for some in rows]
    targets = [{"boxes": some[:, :4], "labels": some[:, 4].long() + 1} for some in used]
    matched = [SSDMatcher(0.5)(box_iou(some[:, :4], boxes)) for some in used]
    heads = {"bbox_regression": outputs[..., :4], "cls_logits": outputs[..., 4:]}
    return sum(ssd.compute_loss(targets, heads, [boxes] * len(rows), matched).values())


@pytest.mark.parametrize("seed", range(5))
def test_the_softmax_loss_and_its_gradient_are_torchvision_s(seed):
    outputs, rows, boxes = example(seed=seed)
    ours = BoxLoss(boxes, "softmax")(outputs, rows, None)
    theirs = torchvision_s_loss(outputs, rows, boxes)
    assert torch.allclose(ours, theirs, rtol=1e-5)
    gradients = [torch.autograd.grad(loss, outputs, retain_graph=True)[0] for loss in (ours, theirs)]
    assert torch.allclose(*gradients, atol=1e-7)


def test_the_focal_loss_looks_at_every_box_and_not_at_background():
    outputs, rows, boxes = example(images=1, objects=1)
    rows[0, 0, 4] = -1  # nothing is there
    with torch.no_grad():
        loss = BoxLoss(boxes, "focal")(outputs, rows, None)
        chance = outputs[0, :, 5:].sigmoid()
        by_hand = (0.75 * chance**2 * F.softplus(outputs[0, :, 5:])).sum()
        outputs[..., 4] += 100
        again = BoxLoss(boxes, "focal")(outputs, rows, None)
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert again.item() == loss.item()


def test_an_image_without_objects_has_a_few_hard_negatives():
    outputs, rows, boxes = example(images=1)
    rows[..., 4] = -1
    loss = BoxLoss(boxes, "softmax")(outputs, rows, None)
    worst = (-outputs[0, :, 4:].log_softmax(1)[:, 0]).topk(3).values
    assert loss.item() == pytest.approx(worst.sum().item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "focal"])
def test_outputs_that_say_the_truth_have_almost_no_loss(kind):
    _, rows, boxes = example(objects=2)
    loss = BoxLoss(boxes, kind)
    matched = torch.stack([loss._matched(some) for some in rows])
    truth = rows.gather(1, matched.clamp(min=0)[..., None].expand(-1, -1, 5))
    classes = torch.where(matched >= 0, truth[..., 4].long() + 1, 0)
    encodings = torch.nan_to_num(encode_boxes(truth[..., :4], boxes))
    outputs = torch.cat([encodings, 20 * F.one_hot(classes, 3) - 10.0], 2)
    assert loss(outputs, rows, None) < 0.01
    assert loss(torch.zeros_like(outputs), rows, None) > 1
    found = detections_of(outputs, boxes, activation="softmax" if kind == "softmax" else "sigmoid", score=0.5)
    for one, some in zip(found, rows, strict=True):
        used = some[some[:, 4] >= 0]
        assert sorted(one.classes.tolist()) == sorted(used[:, 4].long().tolist())
    assert torch.allclose(decode_boxes(encodings, boxes)[matched >= 0], truth[matched >= 0][:, :4], atol=1e-4)


def test_mirrored_boxes_frame_the_mirrored_pixels():
    images = Squares().split("train")
    mirror = BoxMirror(RandomMoves(0, True), Normalize(Squares(), torch.device("cpu")))
    moves = mirror.draw(len(images), torch.Generator().manual_seed(0))
    moved, boxes = mirror.apply(images.pixels, images.boxes, moves)
    assert 8 < int(moves.is_mirrored.sum()) < 24
    for image, rows in zip(moved, boxes, strict=True):
        for x1, y1, x2, y2, kind in (row for row in rows.tolist() if row[4] >= 0):
            inside = image[int(kind), round(64 * y1) : round(64 * y2), round(64 * x1) : round(64 * x2)]
            assert (inside == inside.max()).all()
            assert inside.max() == pytest.approx(2)  # 255 normalized


def test_a_few_epochs_find_the_squares():
    """AP from nothing to well above chance; the curve is AP on the validation images."""
    untrained = Detection(TINY, RECIPE).evaluate(build_detector(TINY, seed=0), Squares(), "validation", None)
    _, result = trained(dataclasses.replace(RECIPE, epochs=5), Squares(96))
    assert untrained < 0.05
    assert result.accuracy == result.curve[-1]
    assert result.accuracy > 0.4


@pytest.mark.parametrize("step", [2, 4, 5])
def test_a_resumed_training_ends_as_the_uninterrupted_one_bit_for_bit(tmp_path, step):
    class Stop(Exception):  # noqa: N818
        pass

    def on_step(progress):
        if progress.step == step:
            raise Stop

    whole, first = trained()
    with pytest.raises(Stop):
        trained(checkpoints=Checkpoints(tmp_path, every_seconds=0), on_step=on_step)
    again, second = trained(checkpoints=Checkpoints(tmp_path, resume=True))
    assert digest(again) == digest(whole)
    assert (second.curve, second.losses) == (first.curve, first.losses)


def test_a_training_does_not_go_on_with_other_boxes(tmp_path):
    class Others(Squares):
        def split(self, part):
            images = super().split(part)
            images.boxes[0, 0, 0] += 0.01
            return images

    trained(checkpoints=Checkpoints(tmp_path))
    with pytest.raises(StorageError, match="another training"):
        trained(dataset=Others(), checkpoints=Checkpoints(tmp_path, resume=True))


def test_detect_leaves_the_detector_as_it_came_and_goes_through_the_images_in_order():
    detector, _ = trained()
    assert detector.training
    before = digest(detector)
    found = detect(detector, Squares(), "train", "softmax")
    assert (len(found), detector.training, digest(detector)) == (32, True, before)


@pytest.mark.parametrize(
    "wrong", [{"mixup": 0.2}, {"label_smoothing": 0.1}, {"shift": 0.1}, {"class_weights": "balanced"}]
)
def test_changes_that_boxes_do_not_follow_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        trained(dataclasses.replace(RECIPE, **wrong))


def test_the_recipes_for_detectors_are_theirs_to_train_with():
    for name in ("ssdlite-coco", "ssdlite-small"):
        task = Detection(TINY, load_recipe(name))
        task.changes(load_recipe(name), Squares(), Squares().split("train"), torch.device("cpu"))
    assert load_recipe("ssdlite-coco").epsilon == 1.0
    recipe = load_recipe("imagenet-mnasnet")
    with pytest.raises(SettingsError, match="label_smoothing, dropout"):
        Detection(TINY, recipe).changes(recipe, Squares(), None, torch.device("cpu"))


def test_other_stairs_and_another_epsilon_are_the_recipe_s():
    recipe = Recipe(epochs=10, learning_rate=1.0, warmup_epochs=0, schedule_epochs=0, stair=0.5, stair_epochs=5)
    assert [learning_rate(recipe, step, 1) for step in (0, 4, 5, 9)] == [1, 1, 0.5, 0.5]
    with pytest.raises(SettingsError, match="epsilon"):
        Recipe(epsilon=0)
