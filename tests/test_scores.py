"""Promises of scores: they are what is counted by hand, and survive JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mnas.accuracy import binomial_interval
from mnas.datasets import MemoryImages
from mnas.errors import SettingsError, TrainingError
from mnas.models import Preprocessing, TrainedModel, build_model
from mnas.scores import ClassScore, Scores, score
from mnas.space import Architecture

CLASSES = 6


class Reads(nn.Module):
    """Gives the logits that stand in the pixels: so that what a model says can be written down."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0, :CLASSES] + self.unused


def reader(is_multilabel: bool = False) -> TrainedModel:
    architecture = Architecture.parse(f"input_r8_c1 ds_r1_k3_s1_c16 head_c1280_n{CLASSES}")
    preprocessing = Preprocessing(8, 1, (0.5,), (0.5,), 1.0)
    return TrainedModel(Reads(architecture), tuple("abcdef"), preprocessing, is_multilabel)  # type: ignore[arg-type]


def images(logits: list[list[int]], labels: torch.Tensor) -> MemoryImages:
    """Images whose first row of pixels is what the reader answers with, 0 to 255."""
    pixels = torch.zeros(len(logits), 1, 8, 8, dtype=torch.uint8)
    pixels[:, 0, 0, :CLASSES] = torch.tensor(logits, dtype=torch.uint8)
    return MemoryImages(pixels, labels)


def one_hot(*named: int) -> list[list[int]]:
    return [[255 if index == name else 0 for index in range(CLASSES)] for name in named]


def test_one_label_is_counted_as_by_hand():
    scores = score(reader(), images(one_hot(0, 0, 1, 2, 2), torch.tensor([0, 1, 1, 2, 0])), batch=2)
    assert (scores.images, scores.accuracy, scores.micro_f1) == (5, 0.6, 0.6)
    assert (scores.low, scores.high) == binomial_interval(0.6, 5)
    assert scores.classes[0] == ClassScore("a", 2, 0.5, 0.5, 0.5)
    assert scores.classes[1] == ClassScore("b", 2, 1.0, 0.5, pytest.approx(2 / 3))
    assert scores.classes[3] == ClassScore("d", 0, 0.0, 0.0, 0.0)
    assert scores.macro_f1 == pytest.approx((0.5 + 2 / 3 + 2 / 3) / 6)
    assert scores.confusion[0][:3] == (1, 0, 1)
    assert scores.confusion[1][:3] == (1, 1, 0)
    assert set(scores.confused()) == {("a", "c", 1), ("b", "a", 1)}
    assert not scores.is_multilabel


def test_top_five_is_right_where_the_label_is_not_last():
    rising = [list(range(0, 60, 10))] * 2
    scores = score(reader(), images(rising, torch.tensor([0, 1])))
    assert (scores.accuracy, scores.top5) == (0.0, 0.5)


def test_several_labels_are_counted_as_by_hand():
    answers = [[255, 255, 0, 0, 0, 0], [255, 0, 0, 0, 0, 0], [0, 0, 255, 0, 0, 0]]
    truth = torch.tensor([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]], dtype=torch.uint8)
    scores = score(reader(is_multilabel=True), images(answers, truth))
    assert scores.accuracy == pytest.approx(2 / 3)  # of the second image one label is missing
    assert scores.micro_f1 == pytest.approx(2 * 4 / (2 * 4 + 1))
    assert (scores.classes[1].recall, scores.classes[1].average_precision) == (
        0.5,
        pytest.approx(1 / 2 + 1 / 2 * 2 / 3),
    )
    assert scores.classes[5].average_precision is None
    assert scores.mean_average_precision == pytest.approx((1 + 5 / 6 + 1) / 3)
    assert scores.is_multilabel
    assert scores.confusion == ()


def test_a_thousand_classes_make_a_small_file():
    classes = tuple(ClassScore(str(number), 50, 0.8, 0.8, 0.8) for number in range(1000))
    rows = tuple(tuple(40 if c == r else 10 if c == (r + 1) % 1000 else 0 for c in range(1000)) for r in range(1000))
    scores = Scores(50_000, 0.8, 0.79, 0.81, 0.8, 0.8, classes, confusion=rows)
    text = json.dumps(scores.to_dict())
    assert len(text) < 200_000
    assert Scores.from_dict(json.loads(text)) == scores
    assert scores.to_dict()["confusion"][3] == {"3": 40, "4": 10}


def test_scores_with_whole_rows_are_read_too():
    scores = score(reader(), images(one_hot(0, 0, 1), torch.tensor([0, 1, 1])))
    whole = scores.to_dict() | {"confusion": [list(row) for row in scores.confusion]}
    assert Scores.from_dict(whole) == scores


def test_labels_of_another_kind_are_refused():
    with pytest.raises(SettingsError, match="trained for several labels per image, these images have one label"):
        score(reader(is_multilabel=True), images(one_hot(0), torch.tensor([0])))


def test_a_network_is_scored_as_it_came():
    architecture = Architecture.parse(f"input_r8_c1 ds_r1_k3_s1_c16 head_c1280_n{CLASSES}")
    trained = replace(reader(), module=build_model(architecture, seed=0))
    before = {key: value.clone() for key, value in trained.module.state_dict().items()}
    some = images(one_hot(*range(CLASSES)), torch.arange(CLASSES))
    scores = score(trained, some)
    assert trained.module.training
    assert all(torch.equal(before[key], value) for key, value in trained.module.state_dict().items())
    trained.module.eval()
    assert score(trained, some) == scores
    assert not trained.module.training


def test_outputs_that_are_not_finite_are_no_scores():
    trained = reader()
    with torch.no_grad():
        trained.module.unused.fill_(float("nan"))  # type: ignore[union-attr,operator]
    with pytest.raises(TrainingError, match="not finite"):
        score(trained, images(one_hot(0), torch.tensor([0])))


@given(st.data())
def test_scores_survive_json_and_agree_with_their_own_confusion(data):
    count = data.draw(st.integers(1, 30))
    digits = st.lists(st.integers(0, CLASSES - 1), min_size=count, max_size=count)
    truth, named = data.draw(digits), data.draw(digits)
    scores = score(reader(), images(one_hot(*named), torch.tensor(truth)))
    assert Scores.from_dict(json.loads(json.dumps(scores.to_dict()))) == scores
    matrix = np.asarray(scores.confusion)
    assert matrix.sum() == count
    assert scores.accuracy == pytest.approx(np.trace(matrix) / count)
    assert [row.images for row in scores.classes] == matrix.sum(1).tolist()
    assert scores.low <= scores.accuracy <= scores.high
