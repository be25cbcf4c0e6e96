"""Promises of COCO results: they keep what was detected, load elsewhere, and a wrong file is refused by its fault."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import made_truth
from pycocotools.coco import COCO

from mnas.detection_scores import coco_results, detection_scores, read_results, write_results
from mnas.errors import SettingsError
from mnas.models import Detections

TRUTH = made_truth(images=3, boxes=5, categories=2)
IMAGES, CATEGORIES = [10, 17, 24], [2, 5]


def detections(count: int, seed: int = 0) -> Detections:
    generator = np.random.default_rng(seed)
    corners = np.sort(generator.random((count, 2, 2)), axis=1).reshape(count, 4)
    scores = np.sort(generator.random(count))[::-1]
    return Detections(corners.astype(np.float32), scores.astype(np.float32), generator.integers(0, 2, count))


@given(st.integers(0, 20), st.integers(0, 1_000), st.integers(1, 5_000), st.integers(1, 5_000))
def test_results_keep_scores_exactly_and_boxes_to_a_hundredth_of_a_pixel(count, seed, width, height):
    found = detections(count, seed)
    results = coco_results([17], [(width, height)], [found], CATEGORIES)
    assert [np.float32(row["score"]) for row in results] == found.scores.tolist()
    assert [CATEGORIES.index(row["category_id"]) for row in results] == found.classes.tolist()
    for row, (x1, y1, x2, y2) in zip(results, found.boxes.tolist(), strict=True):
        expected = [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height]
        assert row["bbox"] == pytest.approx(expected, abs=0.0051)
        assert row["image_id"] == 17


@settings(max_examples=10, deadline=None)
@given(counts=st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_what_is_written_is_read_again(counts, tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "results.json"
    results = coco_results(IMAGES, [(640, 480)] * 3, [detections(n, n) for n in counts], CATEGORIES)
    write_results(path, results)
    assert read_results(path, TRUTH) == results
    assert json.loads(path.read_text()) == results


def test_a_written_file_loads_in_pycocotools(tmp_path):
    results = coco_results(IMAGES, [(300, 300)] * 3, [detections(4, seed) for seed in range(3)], CATEGORIES)
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    write_results(tmp_path / "results.json", results)
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO(tmp_path / "truth.json").loadRes(str(tmp_path / "results.json"))
    assert [row["score"] for row in loaded.dataset["annotations"]] == [row["score"] for row in results]
    assert detection_scores(TRUTH, read_results(tmp_path / "results.json", TRUTH)).images == 3


def test_a_class_without_a_category_and_missing_images_are_refused():
    with pytest.raises(SettingsError, match="in image 17, but there are category ids of 1 classes"):
        coco_results([17], [(10, 10)], [detections(20)], [5])
    with pytest.raises(SettingsError, match="1 ids, 2 sizes and 1 detections"):
        coco_results([17], [(10, 10)] * 2, [detections(1)], CATEGORIES)


SOUND = {"image_id": 10, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}
WRONG = {
    "not JSON": ("{", "is not JSON"),
    "not text": (b"\xff\xfe\x00", "is not JSON"),
    "a ground truth": (TRUTH, "list of dicts .* got a dict with annotations, which looks like a ground truth"),
    "a number": (3, "should be a list of dicts .* got a value of type int"),
    "text": ('"results"', "should be a list of dicts .* got a value of type str"),
    "a list of lists": ([SOUND, [1, 2]], "result 1 should be a dict with image_id, .* got a value of type list"),
    "no box and score": ([{"image_id": 10, "category_id": 2}], "result 0 lacks bbox and score"),
    "unknown image": ([SOUND, {**SOUND, "image_id": 11}], "result 1 has the image_id 11, .* 3 images"),
    "image by name": ([{**SOUND, "image_id": "10"}], "result 0 has the image_id '10'"),
    "image as a list": ([{**SOUND, "image_id": [10]}], r"result 0 has the image_id \[10\]"),
    "unknown category": ([{**SOUND, "category_id": 1}], "result 0 has the category_id 1, .* 2 categories"),
    "score of nan": ([SOUND, SOUND, {**SOUND, "score": float("nan")}], "result 2 has the score nan, expected a"),
    "score as text": ([{**SOUND, "score": "high"}], "result 0 has the score 'high'"),
    "box of three": ([{**SOUND, "bbox": [1, 2, 3]}], r"result 0 has the bbox \[1, 2, 3\], expected x, y, width"),
    "endless box": ([{**SOUND, "bbox": [1, 2, float("inf"), 4]}], "result 0 has the bbox .* finite"),
    "negative width": ([{**SOUND, "bbox": [1, 2, -3, 4]}], "result 0 has the bbox .* no negative width"),
    "box of text": ([{**SOUND, "bbox": "1234"}], "result 0 has the bbox '1234'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_of_another_kind_is_refused_by_its_first_fault(kind, tmp_path):
    content, message = WRONG[kind]
    path = tmp_path / "results.json"
    content = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SettingsError, match=message) as refused:
        read_results(path, TRUTH)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read results from .*none\.json: No such file"):
        read_results(tmp_path / "none.json", TRUTH)


def test_numbers_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(SettingsError, match="not finite"):
        write_results(tmp_path / "results.json", [{**SOUND, "score": float("nan")}])
    assert not list(tmp_path.iterdir())
