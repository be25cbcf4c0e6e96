"""Promises of detections: boxes are encoded and decoded exactly, the best are kept, overlapping ones are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.errors import SettingsError, TrainingError
from mnas.models import Detections, decode_boxes, detections_of, encode_boxes

DEFAULT = torch.tensor([[0.1, 0.1, 0.3, 0.3], [0.4, 0.4, 0.8, 0.6], [0.5, 0.0, 1.0, 1.0]])
SEEDS = st.integers(0, 10_000)


def random_boxes(count: int, seed: int, largest: float = 0.5) -> torch.Tensor:
    """Boxes within the image, none of them tiny."""
    generator = torch.Generator().manual_seed(seed)
    sides = 0.02 + largest * torch.rand(count, 2, generator=generator)
    corner = torch.rand(count, 2, generator=generator) * (1 - sides)
    return torch.cat([corner, corner + sides], 1)


def outputs_of(boxes: torch.Tensor, logits: torch.Tensor, default: torch.Tensor = DEFAULT) -> torch.Tensor:
    """One image's outputs (1, boxes, 4 + 1 + classes) that say these boxes with these logits."""
    return torch.cat([encode_boxes(boxes, default), logits], 1)[None]


@settings(deadline=None)  # the first call imports torchvision
@given(SEEDS, st.integers(1, 3), st.integers(1, 50))
def test_decoding_is_the_inverse_of_encoding(seed, batch, count):
    default = random_boxes(count, seed)
    boxes = torch.stack([random_boxes(count, seed + 1 + i) for i in range(batch)])
    encodings = encode_boxes(boxes, default)
    assert encodings.shape == (batch, count, 4)
    torch.testing.assert_close(decode_boxes(encodings, default), boxes, rtol=0, atol=2e-6)
    torch.testing.assert_close(
        encode_boxes(decode_boxes(encodings, default), default), encodings, rtol=1e-4, atol=1e-3
    )


def test_encodings_are_as_in_the_public_configuration():
    default, box = torch.tensor([[0.2, 0.2, 0.4, 0.6]]), torch.tensor([[0.25, 0.2, 0.45, 1.0]])
    # The centre lies .05 to the right and .2 below, by widths of .2 and heights of .4; the height is doubled.
    expected = torch.tensor([[10 * 0.05 / 0.2, 10 * 0.2 / 0.4, 0, 5 * np.log(2)]], dtype=torch.float32)
    torch.testing.assert_close(encode_boxes(box, default), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(decode_boxes(torch.zeros(3, 4), DEFAULT), DEFAULT)


def test_huge_encodings_stay_finite():
    assert decode_boxes(torch.full((3, 4), 1e4), DEFAULT).isfinite().all()


def test_a_box_of_each_class_is_found_with_its_probability():
    logits = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [9.0, 0.0, 0.0]])
    (found,) = detections_of(outputs_of(DEFAULT, logits), DEFAULT, score=0.3)
    assert isinstance(found, Detections)
    assert found.classes.tolist() == [0, 1]
    np.testing.assert_allclose(found.boxes, DEFAULT[:2], atol=1e-6)
    np.testing.assert_allclose(found.scores, [logits[0].softmax(0)[1], logits[1].softmax(0)[2]], rtol=1e-6)
    assert [array.dtype for array in (found.boxes, found.scores, found.classes)] == [np.float32, np.float32, np.int64]
    assert len(found) == 2


def test_with_sigmoid_the_background_does_not_count():
    logits = torch.tensor([[50.0, 2.0, 1.0], [0.0, -9.0, -9.0], [0.0, -9.0, -9.0]])
    (found,) = detections_of(outputs_of(DEFAULT, logits), DEFAULT, activation="sigmoid", score=0.3)
    assert found.classes.tolist() == [0, 1]  # one box may be of two classes
    np.testing.assert_allclose(found.scores, torch.tensor([2.0, 1.0]).sigmoid(), rtol=1e-6)


def test_of_overlapping_boxes_of_a_class_the_best_is_kept():
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.49], [0.1, 0.1, 0.5, 0.3]])  # IoU .975, .5
    logits = torch.tensor([[0.0, 3.0, -9], [0.0, 4.0, -9], [0.0, 2.0, -9]])
    (found,) = detections_of(outputs_of(boxes, logits), DEFAULT, score=0.1)
    np.testing.assert_allclose(found.boxes, boxes[[1, 2]], atol=1e-6)
    (strict,) = detections_of(outputs_of(boxes, logits), DEFAULT, score=0.1, iou=0.4)
    np.testing.assert_allclose(strict.boxes, boxes[[1]], atol=1e-6)
    logits[0, 1:] = torch.tensor([-9, 5.0])  # of another class: nothing is suppressed
    (both,) = detections_of(outputs_of(boxes, logits), DEFAULT, score=0.1)
    assert both.classes.tolist() == [1, 0, 0]


def test_boxes_are_clipped_to_the_image_and_those_outside_are_none():
    boxes = torch.tensor([[-0.5, 0.2, 0.5, 1.5], [1.2, 0.2, 1.5, 0.4], [0.2, 0.2, 0.4, 0.4]])
    logits = torch.tensor([[0.0, 3.0], [0.0, 9.0], [0.0, 2.0]])
    (found,) = detections_of(outputs_of(boxes, logits), DEFAULT)
    np.testing.assert_allclose(found.boxes, [[0, 0.2, 0.5, 1], [0.2, 0.2, 0.4, 0.4]], atol=1e-6)


def brute_force(boxes, scores, least, iou, most, per_class=400):
    """What detections are, box by box."""

    def overlap(a, b):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        both = max(width, 0) * max(height, 0)
        return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)

    kept = []
    for index in range(scores.shape[1]):
        mine = sorted((s, i) for i, s in enumerate(scores[:, index].tolist()) if s > least)[::-1][:per_class]
        of_class = []
        for score, i in mine:
            if all(overlap(boxes[i], boxes[j]) <= iou for _, j in of_class):
                of_class.append((score, i))
        kept += [(score, i, index) for score, i in of_class]
    return sorted(kept)[::-1][:most]


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 60), st.integers(1, 5), st.sampled_from([1, 5, 100]), st.sampled_from([0.3, 0.6]))
def test_detections_are_those_of_going_through_box_by_box(seed, count, classes, most, iou):
    generator = torch.Generator().manual_seed(seed)
    default, logits = random_boxes(count, seed), torch.randn(count, 1 + classes, generator=generator)
    outputs = outputs_of(random_boxes(count, seed + 1), logits, default)
    (found,) = detections_of(outputs, default, score=0.2, iou=iou, most=most)
    boxes = decode_boxes(outputs[0, :, :4], default).clamp(0, 1).double().numpy()
    expected = brute_force(boxes, logits.softmax(1)[:, 1:], 0.2, iou, most)
    assert found.classes.tolist() == [index for *_, index in expected]
    np.testing.assert_allclose(found.scores, [score for score, *_ in expected], rtol=1e-6)
    np.testing.assert_allclose(found.boxes, boxes[[i for _, i, _ in expected]].reshape(-1, 4), atol=1e-6)


def test_many_candidates_of_which_few_are_kept_are_all_looked_at():
    """One heap of boxes, and one box far away that scores least: it is found behind a thousand suppressed ones.

    Only not in the first class, of which 400 others score more.
    """
    count, classes = 3_000, 4
    default = torch.tensor([[0.1, 0.1, 0.3, 0.3]]).repeat(count, 1)
    default[-1] = torch.tensor([0.7, 0.7, 0.9, 0.9])
    logits = torch.zeros(count, 1 + classes)
    logits[:, 1:] = torch.linspace(3, 1, count)[:, None] + torch.arange(classes) * 1e-4
    logits[:-400, 2:] = -50
    (found,) = detections_of(outputs_of(default, logits, default), default, score=1e-3)
    assert sorted(zip(found.classes.tolist(), found.boxes[:, 0].round(1).tolist(), strict=True)) == [
        (0, pytest.approx(0.1)),
        *[(index, pytest.approx(place)) for index in (1, 2, 3) for place in (0.1, 0.7)],
    ]


def test_small_boxes_of_the_last_class_are_suppressed_as_exactly_as_those_of_the_first():
    """Pairs whose IoU is a ten-thousandth above the limit, and as many below."""
    generator, side, pairs, classes = torch.Generator().manual_seed(0), 0.03, 200, 90
    overlap = 0.6 + 1e-4 * torch.tensor([1.0, -1.0]).repeat(pairs // 2)
    corner = torch.rand(pairs, 2, generator=generator) * 0.9
    boxes = torch.cat([corner, corner + side], 1)
    shifted = boxes + torch.stack([side * (1 - overlap) / (1 + overlap), torch.zeros(pairs)] * 2, 1)
    default = torch.cat([boxes, shifted])
    for index in (0, classes - 1):
        logits = torch.full((2 * pairs, 1 + classes), -20.0)
        logits[:, 1 + index] = torch.linspace(8, 4, 2 * pairs)
        (found,) = detections_of(
            outputs_of(default, logits, default), default, activation="sigmoid", score=0.5, most=999
        )
        expected = brute_force(default.double().numpy(), logits[:, 1:].sigmoid(), 0.5, 0.6, 999)
        assert len(found) == len(expected)
        assert len(found) < 2 * pairs


def test_each_image_of_a_batch_has_its_own_detections():
    default = random_boxes(40, 0)
    outputs = torch.randn(3, 40, 4 + 1 + 2, generator=torch.Generator().manual_seed(0))
    together = detections_of(outputs, default)
    for found, single in zip(together, outputs, strict=True):
        (alone,) = detections_of(single[None], default)
        assert np.array_equal(found.scores, alone.scores)
        assert np.array_equal(found.boxes, alone.boxes)
    assert detections_of(outputs, default, score=0.999)[0].boxes.shape == (0, 4)
    assert detections_of(outputs[:0], default) == []


def test_outputs_that_fit_nothing_are_refused():
    outputs = torch.zeros(1, 3, 7)
    with pytest.raises(SettingsError, match=r"got \(1, 3, 7\) and \(2, 4\): take the default boxes"):
        detections_of(outputs, DEFAULT[:2])
    with pytest.raises(SettingsError, match=r"got \(1, 3, 5\)"):
        detections_of(outputs[..., :5], DEFAULT)
    with pytest.raises(SettingsError, match="unknown activation 'softmix': did you mean 'softmax'"):
        detections_of(outputs, DEFAULT, activation="softmix")  # type: ignore[arg-type]
    for wrong in ({"score": 1.0}, {"score": -0.1}, {"iou": 0.0}, {"most": 0}):
        with pytest.raises(SettingsError, match="score should be from 0 to below 1"):
            detections_of(outputs, DEFAULT, **wrong)
    with pytest.raises(TrainingError, match="not finite"):
        detections_of(torch.full((1, 3, 7), float("nan")), DEFAULT)
