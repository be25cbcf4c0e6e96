"""torchvision can be imported beside any build of torch, and its nms works."""

import importlib
import sys

import pytest
import torch

from mnas._torchvision import import_torchvision, nms
from mnas.errors import SettingsError


def brute_force(boxes, scores, threshold):
    def area(box):
        return (box[2] - box[0]) * (box[3] - box[1])

    def iou(a, b):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        overlap = max(width, 0) * max(height, 0)
        return overlap / (area(a) + area(b) - overlap)

    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("count", [0, 1, 40, 300])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_nms_keeps_the_best_of_boxes_that_overlap(count, threshold):
    generator = torch.Generator().manual_seed(count)
    boxes, scores = torch.rand(count, 4, generator=generator), torch.rand(count, generator=generator)
    boxes[:, 2:] += boxes[:, :2] + 0.01
    expected = brute_force(boxes.tolist(), scores.tolist(), threshold)
    assert nms(boxes, scores, threshold).tolist() == expected
    kept = import_torchvision().ops.nms(boxes, scores, threshold)
    assert kept.tolist() == expected
    assert kept.dtype == torch.int64


def test_transforms_work():
    import_torchvision()
    transforms = importlib.import_module("torchvision.transforms.v2")
    assert transforms.Resize((4, 4))(torch.zeros(3, 8, 8)).shape == (3, 4, 4)


def test_without_torchvision_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(SettingsError, match=r"pip install 'mnas\[vision\]'"):
        import_torchvision()


def test_other_errors_of_the_import_come_through(monkeypatch):
    def broken(name):
        raise RuntimeError("something else")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()
