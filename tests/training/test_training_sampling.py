"""Balanced sampling: every class equally often, every image of a class equally often, the same again when resumed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_training import TINY, FewDigits, Noise, trained

from mnas.datasets import FolderDataset, MemoryImages
from mnas.errors import SettingsError
from mnas.space import Head
from mnas.training._sampling import balanced


def numbered(counts: list[int]) -> MemoryImages:
    """Images of so many each class; the first pixel tells which one it is."""
    labels = torch.cat([torch.full((count,), name) for name, count in enumerate(counts)])
    pixels = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = torch.arange(len(labels))
    return MemoryImages(pixels, labels)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any), st.integers(0, 2**62))
def test_every_class_and_every_image_of_a_class_is_drawn_equally_often(counts, seed):
    images = numbered(counts)
    drawn = balanced(images, seed)
    assert len(drawn) == len(images)
    classes = Counter(drawn.labels.tolist())
    assert set(classes) == {name for name, count in enumerate(counts) if count}
    assert max(classes.values()) - min(classes.values()) <= 1
    numbers = Counter(drawn.pixels[:, 0, 0, 0].tolist())
    for name in classes:
        times = [numbers[int(index)] for index in torch.nonzero(images.labels == name)]
        assert max(times) - min(times) <= 1
    assert torch.equal(images.labels[drawn.pixels[:, 0, 0, 0].long()], drawn.labels)


def test_each_epoch_draws_others_of_a_frequent_class_and_the_same_by_the_same_seed():
    images = numbered([4, 40])
    first, again, other = (balanced(images, seed).pixels[:, 0, 0, 0].tolist() for seed in (1, 1, 2))
    assert first == again
    assert set(first) != set(other)


def test_a_rare_class_is_learnt_as_often_as_the_other():
    seen: Counter[int] = Counter()

    class Watched(Noise):
        def split(self, part):
            images = super().split(part)
            chosen = images.chosen

            def counting(indices):
                seen.update(images.labels[indices].tolist())
                return chosen(indices)

            images.chosen = counting
            return images

    architecture = TINY.replace(head=Head(16, classes=2))
    trained(architecture=architecture, dataset=Watched(images=48, rare=6), epochs=3, sampling="balanced")
    assert seen == {0: 72, 1: 72}


def test_streamed_images_are_drawn_with_their_labels_and_cropped_anew(tmp_path):
    noise = np.random.default_rng(0)
    for name, count in (("dark", 3), ("light", 17)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = noise.integers(0, 100, (40, 40, 3)) + (150 if name == "light" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name / f"{number}.png")
    split = FolderDataset(path=tmp_path, resolution=8, max_memory_gb=0, validation=0.1, test=0.1).split("train")
    drawn = balanced(split, 0)
    ((pixels, labels),) = drawn.batches(len(drawn), seed=0)
    assert labels.bincount().max() - labels.bincount().min() <= 1
    assert torch.equal(pixels.float().mean((1, 2, 3)) > 120, labels == 1)
    dark = pixels[labels == 0]
    assert len(dark.unique(dim=0)) == len(dark)


def test_what_cannot_be_balanced_is_refused():
    eleven = TINY.replace(head=Head(16, classes=11))
    with pytest.raises(SettingsError, match="for one label per image, these have several"):
        trained(architecture=eleven, dataset=FewDigits(is_multilabel=True), sampling="balanced")

    class Plain:
        labels = torch.zeros(3, dtype=torch.int64)

    with pytest.raises(SettingsError, match=r"needs images with chosen\(indices\).*Plain has none"):
        balanced(Plain(), 0)
