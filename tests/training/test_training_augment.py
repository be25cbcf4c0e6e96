"""Shifts and flips move whole images and invent nothing."""

from __future__ import annotations

import pytest
import torch

from mnas.training._augment import RandomMoves


@pytest.fixture
def images():
    # Every pixel of every image has its own value, none of them zero.
    return torch.arange(1.0, 1 + 40 * 2 * 6 * 6).view(40, 2, 6, 6).contiguous(memory_format=torch.channels_last)


def moved(image, down, right):
    """The image shifted, with zeros where nothing came from."""
    result = torch.zeros_like(image)
    rows, columns = (slice(max(0, by), 6 + min(0, by)) for by in (down, right))
    from_rows, from_columns = (slice(max(0, -by), 6 + min(0, -by)) for by in (down, right))
    result[:, rows, columns] = image[:, from_rows, from_columns]
    return result


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def augment(images, shift, mirror, generator):
    moves = RandomMoves(shift, mirror)
    return moves.apply(images, moves.draw(len(images), generator))


def test_without_shift_and_mirror_nothing_changes(images):
    assert augment(images, 0, False, generator()) is images


def test_a_shift_moves_each_image_by_at_most_so_many_pixels_each_way(images):
    kinds = {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    seen = set()
    for image, result in zip(images, augment(images, 2, False, generator()), strict=True):
        fitting = {kind for kind in kinds if torch.equal(result, moved(image, *kind))}
        assert len(fitting) == 1
        seen |= fitting
    assert len(seen) > 12  # of 25, by 40 images


def test_mirroring_flips_some_images_and_leaves_the_others(images):
    results = augment(images, 0, True, generator())
    flipped = [torch.equal(result, image.flip(2)) for image, result in zip(images, results, strict=True)]
    kept = [torch.equal(result, image) for image, result in zip(images, results, strict=True)]
    assert all(one != other for one, other in zip(flipped, kept, strict=True))
    assert 5 < sum(flipped) < 35  # false alarm below 1e-6


def test_it_follows_its_generator_and_keeps_channels_last(images):
    once, again, other = (augment(images, 1, True, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.is_contiguous(memory_format=torch.channels_last)
