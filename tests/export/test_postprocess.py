"""Promises of the post-processing file: it agrees with the model's own detections, and needs numpy alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.export import write_postprocess
from mnas.export._postprocess import detections
from mnas.models import decode_boxes, detections_of


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 900),
    classes=st.integers(1, 6),
    score=st.sampled_from([1e-8, 0.05, 0.4]),
    iou=st.sampled_from([0.3, 0.6]),
    most=st.sampled_from([1, 20, 100, 2_000]),
    activation=st.sampled_from(["softmax", "sigmoid"]),
)
def test_it_gives_what_detections_of_gives(seed, count, classes, score, iou, most, activation):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator)
    default = torch.cat([corner, corner + 0.02 + 0.3 * torch.rand(count, 2, generator=generator)], 1)
    outputs = 2 * torch.randn(1, count, 5 + classes, generator=generator)
    settings = {"score": score, "iou": iou, "most": most}
    (expected,) = detections_of(outputs, default, activation=activation, **settings)
    logits = outputs[0, :, 4:]
    scores = logits.softmax(1)[:, 1:] if activation == "softmax" else logits[:, 1:].sigmoid()
    boxes = decode_boxes(outputs[0, :, :4], default)
    found = detections(boxes.numpy(), scores.numpy(), **settings)
    for ours, theirs in zip(found, (expected.boxes, expected.scores, expected.classes), strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def test_nothing_found_has_the_right_shapes():
    boxes, scores, classes = detections(np.zeros((5, 4), np.float32), np.ones((5, 2), np.float32))
    assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))


def test_boxes_and_scores_of_different_numbers_are_refused():
    with pytest.raises(ValueError, match=r"of one image; got \(2, 4\) and \(3, 2\)"):
        detections(np.zeros((2, 4), np.float32), np.zeros((3, 2), np.float32))


def test_the_file_runs_alone_where_there_is_only_numpy(tmp_path):
    path = write_postprocess(tmp_path)
    assert path.name == "postprocess.py"
    code = (
        "import sys\nsys.modules.update(dict.fromkeys(('mnas', 'torch', 'torchvision')))\n"  # not to be imported
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import numpy as np, postprocess\n"
        "box, scores = np.array([[0, 0, 1, 1]], np.float32), np.array([[0.25, 0.5]], np.float32)\n"
        "print([part.tolist() for part in postprocess.detections(box, scores, score=0.3)])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[[[0.0, 0.0, 1.0, 1.0]], [0.5], [1]]\n"
