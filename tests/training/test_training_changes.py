"""RandAugment, erasing and mixup change what they should and by their generator alone."""

from __future__ import annotations

import pytest
import torch

from mnas.training import _rand_augment
from mnas.training._erasing import RandomErasing
from mnas.training._mixup import Mixup
from mnas.training._rand_augment import Operations, RandAugment

OPERATIONS = _rand_augment._OPERATIONS
NAMES = [operation.__name__ for operation in OPERATIONS]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def pixels():
    noise = torch.randint(20, 230, (6, 3, 16, 16), generator=generator(), dtype=torch.uint8)
    return noise.contiguous(memory_format=torch.channels_last)


def changed(pixels, name, strength=0.5, sign=1.0):
    """Every image by one operation."""
    numbers = torch.tensor([[NAMES.index(name)], [-1]]).expand(2, len(pixels))
    strengths, signs = torch.full((2, len(pixels)), strength), torch.full((2, len(pixels)), sign)
    return RandAugment(5).apply(pixels, Operations(numbers, strengths, signs))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_operation_gives_pixels_of_the_same_shape_and_differs(pixels, name, channels):
    result = changed(pixels[:, :channels], name)
    assert (result.shape, result.dtype) == (pixels[:, :channels].shape, torch.uint8)
    is_colour_of_grey = name == "_colour" and channels == 1
    assert torch.equal(result, pixels[:, :channels]) == is_colour_of_grey


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("_stretch", "_equalize", "_invert", "_posterize")])
def test_at_strength_zero_an_operation_changes_nothing(pixels, name):
    difference = changed(pixels, name, strength=0.0).int() - pixels.int()
    assert difference.abs().max() <= 1


@pytest.mark.parametrize(
    ("name", "strength", "pixel", "expected"),
    [
        ("_invert", 0.5, 200, 55), ("_solarize", 0.5, 200, 55), ("_solarize", 0.5, 100, 100),
        ("_solarize_add", 0.5, 100, 155), ("_solarize_add", 0.5, 200, 200), ("_brightness", 0.5, 100, 145),
        ("_posterize", 0.0, 0b10101111, 0b10100000), ("_posterize", 0.9, 0b10101111, 0b10000000),
        ("_stretch", 0.5, 77, 77), ("_equalize", 0.5, 77, 77),
    ],
)  # fmt: skip
def test_operations_on_pixels_are_these(name, strength, pixel, expected):
    """Of images of one value, of which stretching and equalizing have nothing to make."""
    images = torch.full((2, 3, 4, 4), pixel, dtype=torch.uint8)
    assert set(changed(images, name, strength).flatten().tolist()) == {expected}


def test_stretched_and_equalized_images_use_all_values(pixels):
    for name in ("_stretch", "_equalize"):
        result = changed(pixels, name)
        assert (int(result.amin()), int(result.amax())) == (0, 255)


def test_moves_go_the_way_of_their_sign():
    images = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    images[..., 4, 4] = 255
    places = {sign: changed(images, "_translate_x", 4 / 9 / 0.45 / 2, sign)[0, 0].int() for sign in (1.0, -1.0)}
    assert places[1.0][4, 2] == 255
    assert places[-1.0][4, 6] == 255


def test_each_image_gets_up_to_two_operations_by_chance(pixels):
    many = pixels[:1].expand(200, -1, -1, -1)
    augment = RandAugment(9)
    result = augment.apply(many, augment.draw(200, generator()))
    kept = sum(torch.equal(one, pixels[0]) for one in result)
    assert 25 < kept < 90  # a quarter keeps neither, 50 of 200; false alarm below 1e-4
    assert len({one.numpy().tobytes() for one in result}) > 90


@pytest.mark.parametrize("change", [RandAugment(5), RandomErasing(0.5)])
def test_changes_follow_their_generator_and_leave_their_input(pixels, change):
    images = pixels if isinstance(change, RandAugment) else pixels.float()
    before = images.clone()
    once, again, other = (change.apply(images, change.draw(6, generator(seed))) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(images, before)


def test_erasing_replaces_one_rectangle_of_some_images_by_noise():
    images = torch.zeros(400, 2, 20, 20)
    erasing = RandomErasing(0.25)
    is_changed = erasing.apply(images, erasing.draw(400, generator())) != 0
    some = [each for each in is_changed if each.any()]
    assert 60 < len(some) < 140  # of 400 at 25 %; false alarm below 1e-5
    for each in some:
        assert torch.equal(each[0], each[1])
        rows, columns = each[0].any(1), each[0].any(0)
        assert torch.equal(each[0], rows[:, None] & columns)
        assert 0 < each[0].float().mean() < 0.45  # 2 to 33 %, in whole pixels


def test_mixup_mixes_images_and_labels_alike():
    images, labels = torch.eye(4).view(4, 1, 2, 2), torch.arange(4)
    mixed, targets = Mixup(0.2, 4).apply(images, labels, 0.75)
    assert torch.equal(mixed.view(4, 4), targets)
    assert targets[0].tolist() == [0.75, 0, 0, 0.25]
    shares = [Mixup(0.2, 4).draw(generator(seed)) for seed in range(100)]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(share < 0.1 or share > 0.9 for share in shares) > 50  # Beta(0.2, 0.2) lies at its ends
