"""Promises of detection scores: pycocotools' numbers, an interval that repeats, nothing printed or changed."""

from __future__ import annotations

import copy
import json
import logging
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import made_results, made_truth, pycocotools_stats

from mnas.detection_scores import DetectionScores, _interval, _scores, detection_scores
from mnas.errors import SettingsError

CLOSE = 1e-12


def numbers(values):
    """None is equal to None alone."""
    return [-1.0 if value is None else value for value in values]


def assert_pycocotools_agrees(truth, results):
    scores = detection_scores(truth, results, resamples=0)
    assert numbers(scores.stats) == pytest.approx(numbers(pycocotools_stats(truth, results)), abs=CLOSE)
    return scores


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 4),
    boxes=st.integers(0, 12),
    categories=st.integers(1, 3),
    wrong=st.integers(0, 8),
    crowds=st.sampled_from([0.0, 0.3, 1.0]),
    tied=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_the_twelve_numbers_are_those_of_pycocotools(images, boxes, categories, wrong, crowds, tied, seed):
    truth = made_truth(images, boxes, categories, seed, crowds)
    assert_pycocotools_agrees(truth, made_results(truth, wrong, seed, tied))


@pytest.fixture(scope="module")
def larger():
    """More than 100 detections in some images, five classes, ties."""
    truth = made_truth(images=30, boxes=600, categories=5, seed=1)
    crowded = made_results(truth, wrong=2_000, seed=1)
    crowded += [{**row, "image_id": truth["images"][0]["id"]} for row in crowded[:900]]
    return truth, crowded


def test_the_twelve_numbers_of_a_larger_set_are_those_of_pycocotools(larger):
    scores = assert_pycocotools_agrees(*larger)
    assert None not in scores.stats


def test_each_class_has_the_numbers_of_an_evaluation_of_it_alone(larger):
    truth, results = larger
    scores = detection_scores(truth, results, resamples=0)
    for row, category in zip(scores.classes, truth["categories"], strict=True):
        expected = pycocotools_stats(truth, results, category["id"])
        assert (row.ap, row.ap50) == pytest.approx(expected[:2], abs=CLOSE)
        counted = [a for a in truth["annotations"] if a["category_id"] == category["id"] and not a["iscrowd"]]
        assert (row.name, row.boxes) == (category["name"], len(counted))
        assert row.images == len({a["image_id"] for a in counted})
    assert scores.boxes == sum(row.boxes for row in scores.classes)


def a_truth(boxes=((10, 10, 50, 50),), images=2):
    rows = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": list(box), "area": box[2] * box[3], "iscrowd": 0}
        for i, box in enumerate(boxes, start=1)
    ]
    names = [{"id": 1, "name": "cell"}, {"id": 2, "name": "nothing"}]
    return {"images": [{"id": i + 1} for i in range(images)], "annotations": rows, "categories": names}


def a_result(box=(10, 10, 50, 50), score=0.9, image=1):
    return {"image_id": image, "category_id": 1, "bbox": list(box), "score": score}


def test_what_is_found_exactly_scores_one_and_a_class_without_boxes_has_no_score():
    scores = detection_scores(a_truth(), [a_result()])
    assert (scores.ap, scores.ap50, scores.ar_1, scores.ap_medium, scores.images) == (1.0, 1.0, 1.0, 1.0, 2)
    assert (scores.ap_small, scores.ap_large) == (None, None)
    assert (scores.classes[1].ap, scores.classes[1].boxes) == (None, 0)
    assert (scores.low, scores.high) == (1.0, 1.0)


def test_no_results_score_zero_and_no_boxes_score_nothing():
    assert detection_scores(a_truth(), []).ap == 0.0
    empty = detection_scores(a_truth(boxes=()), [a_result()])
    assert set(empty.stats) == {None}
    assert (empty.low, empty.high, empty.boxes) == (None, None, 0)


def test_a_detection_in_an_image_without_boxes_is_wrong():
    assert detection_scores(a_truth(), [a_result(), a_result(score=0.95, image=2)]).ap == pytest.approx(0.5)


def test_a_crowd_neither_counts_nor_makes_a_detection_on_it_wrong():
    truth = a_truth(boxes=((10, 10, 50, 50), (100, 100, 80, 80)))
    truth["annotations"][1]["iscrowd"] = 1
    scores = detection_scores(
        truth, [a_result(), a_result((110, 110, 20, 20), 0.95), a_result((120, 120, 20, 20), 0.95)]
    )
    assert (scores.ap, scores.boxes) == (1.0, 1)


def test_an_annotation_with_the_id_zero_counts_like_any_other():
    truth = a_truth()
    truth["annotations"][0]["id"] = 0
    assert detection_scores(truth, [a_result()]).ap == 1.0


def test_an_annotation_without_area_has_its_boxs():
    truth = a_truth(boxes=((10, 10, 20, 20),))
    del truth["annotations"][0]["area"], truth["annotations"][0]["iscrowd"]
    assert detection_scores(truth, [a_result((10, 10, 20, 20))]).ap_small == 1.0


def test_nothing_is_printed_or_changed(larger, capfd):
    truth, results = larger
    before = copy.deepcopy(larger)
    detection_scores(truth, results, resamples=2)
    assert capfd.readouterr() == ("", "")
    assert (truth, results) == before


def test_matching_for_the_interval_gives_the_same_average_precision(larger):
    for truth, results in (larger, (made_truth(5, 40, 3, 7, crowds=0.5), None)):
        results = results or made_results(truth, 60, 7, tied=True)
        evaluator = _scores._evaluator(truth, _scores._annotations(truth), _scores._detected(results))
        evaluator.run()
        classes, every = _interval.class_matches(evaluator), np.ones((1, len(truth["images"])), int)
        value = _interval.average_precision(classes, every, evaluator.params.recThrs)
        assert value == pytest.approx(evaluator.stats[0], abs=CLOSE)


def test_a_drawn_image_counts_as_often_as_it_is_drawn(larger):
    """AP with weights is pycocotools' of a ground truth in which images stand as often."""
    truth, results = larger
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30))
    drawn, found = {**truth, "images": [], "annotations": []}, []
    for image, weight in zip(truth["images"], weights, strict=True):
        for copied in range(weight):
            number = 1_000 * copied + image["id"]
            drawn["images"].append({**image, "id": number})
            rows = [row for row in truth["annotations"] if row["image_id"] == image["id"]]
            drawn["annotations"] += [{**row, "image_id": number, "id": 10_000 * copied + row["id"]} for row in rows]
            found += [{**row, "image_id": number} for row in results if row["image_id"] == image["id"]]
    evaluator = _scores._evaluator(truth, _scores._annotations(truth), _scores._detected(results))
    evaluator.run()
    value = _interval.average_precision(
        _interval.class_matches(evaluator), weights[None], np.asarray(evaluator.params.recThrs)
    )
    assert value[0] == pytest.approx(pycocotools_stats(drawn, found)[0], abs=1e-6)


def test_the_interval_is_around_the_ap_repeats_and_narrows_with_more_images():
    def interval(images, seed=0):
        truth = made_truth(images, 20 * images, 2, seed=3)
        return detection_scores(truth, made_results(truth, 10 * images, seed=3), seed=seed)

    few, many = interval(8), interval(80)
    assert few.low < few.ap < few.high
    assert interval(8) == few
    assert interval(8, seed=1) != few
    assert many.high - many.low < (few.high - few.low) / 2


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000), boxes=st.integers(0, 10))
def test_scores_survive_json(seed, boxes):
    truth = made_truth(3, boxes, 2, seed)
    scores = detection_scores(truth, made_results(truth, 4, seed), resamples=5)
    assert DetectionScores.from_dict(json.loads(json.dumps(scores.to_dict()))) == scores


def test_results_of_another_split_and_impossible_settings_are_refused():
    with pytest.raises(SettingsError, match="result 0 has the image_id 7, which is none of the ground truth's 2"):
        detection_scores(a_truth(), [a_result(image=7)])
    with pytest.raises(SettingsError, match="resamples should be 0 or more, got -1"):
        detection_scores(a_truth(), [], resamples=-1)


def test_without_the_library_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(SettingsError, match=r"needs faster-coco-eval.*mnas\[detection\]"):
        detection_scores(a_truth(), [])


def test_the_library_says_what_it_does_to_its_logger_alone(caplog):
    with caplog.at_level(logging.INFO):
        detection_scores(a_truth(), [a_result()])
    assert {record.name.split(".")[0] for record in caplog.records} <= {"faster_coco_eval"}
