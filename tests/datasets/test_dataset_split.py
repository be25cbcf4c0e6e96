"""Splits are seeded, of the size asked for, and every class has its share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.datasets import stratified_split
from mnas.errors import SettingsError


@given(
    counts=st.lists(st.integers(4, 40), min_size=2, max_size=8), share=st.floats(0.25, 0.75), seed=st.integers(0, 99)
)
def test_a_split_has_every_class_in_both_halves_and_the_size_asked_for(counts, share, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    stay, held = stratified_split(labels, share, seed)
    assert sorted([*stay, *held]) == list(range(len(labels)))
    assert len(held) == round(share * len(labels))
    for index, count in enumerate(counts):
        assert abs((labels[held] == index).sum() - share * count) <= 1
    assert set(labels[stay]) == set(labels[held]) == set(range(len(counts)))


def test_a_split_follows_its_seed():
    labels = [0, 1] * 50
    once, again, other = (stratified_split(labels, 20, seed)[1].tolist() for seed in (1, 1, 2))
    assert once == again != other


def test_a_rare_class_gives_one_image_and_keeps_one():
    labels = [0] * 98 + [1] * 2
    stay, held = stratified_split(labels, 0.9, seed=0)
    assert [sum(labels[i] == 1 for i in half) for half in (stay, held)] == [1, 1]
    assert len(held) == 90


def test_a_class_with_one_image_is_refused_by_name():
    with pytest.raises(SettingsError, match="class 'rose' has one image"):
        stratified_split([0, 0, 0, 1], 2, seed=0, class_names=("daisy", "rose"))


@pytest.mark.parametrize("held_out", [1, 39, 400, 0.999])
def test_a_share_that_leaves_a_class_without_images_is_refused(held_out):
    with pytest.raises(SettingsError, match="cannot be held out"):
        stratified_split([0, 1] * 20, held_out, seed=0)
