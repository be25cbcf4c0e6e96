"""Promises of a model's card: both pages say the same, need nothing from elsewhere, and escape what is foreign."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mnas.detection_scores import DetectionClassScore, DetectionScores
from mnas.export import DetectorTolerance, Exported, ExportedDetector, Tolerance
from mnas.models import Preprocessing
from mnas.objective import Latency
from mnas.report import Candidate, Card, Origin, render_card_html, render_card_markdown, write_card
from mnas.scores import ClassScore, Scores
from mnas.space import Architecture

ARCHITECTURE = Architecture.parse("input_r32_c3 ds_r1_k3_s1_c16 ir_r2_k3_s2_e6_c24 head_c64_n3")
LATENCY = Latency(1.25, 1.2, 1.3, "minimum over 10 processes", "cpu onnxruntime 1.32", environment={"threads": 1})


def a_file(name: str = "model.onnx", precision: str = "fp32", size: int = 1_234_567) -> Exported:
    return Exported(
        format="onnx",
        precision=precision,
        path=Path(name),
        sha256="ab" * 32,
        bytes=size,
        images=200,
        largest_difference=3e-6,
        agreement=1.0,
        accuracy=0.75,
        torch_accuracy=0.76,
        tolerance=Tolerance(),
        seconds=1.0,
        opset=17,
        versions={"onnx": "1.23"},
    )


def some_scores(names: tuple[str, ...] = ("ant", "bee", "cow")) -> Scores:
    classes = tuple(ClassScore(name, 10, 0.9 - i / 10, 0.7, 0.8 - i / 10) for i, name in enumerate(names))
    confusion = tuple(tuple(7 if i == j else i + j for j in range(len(names))) for i in range(len(names)))
    return Scores(30, 0.7, 0.521, 0.833, 0.7, 0.7, classes, confusion=confusion)


def a_card(**changes) -> Card:
    card = Card(
        title="flowers",
        architecture=ARCHITECTURE,
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(32, 3, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), 0.875),
        training={"data set": "folder", "recipe": "epochs 3", "seed": 0},
        curve=(0.4, 0.6, 0.7),
        scores={"validation": replace(some_scores(), accuracy=0.72), "test": some_scores()},
        exports=(a_file(), a_file("model-int8.onnx", "int8", 345_678)),
        latency=LATENCY,
        candidates=(
            Candidate("trial 4", LATENCY, 0.7, is_chosen=True),
            Candidate("trial 9", replace(LATENCY, latency_ms=9.5), None, "latency 9.5 ms is above the cap of 5 ms"),
        ),
        commands=("mnas ship runs/flowers --top 2",),
    )
    return replace(card, **changes)


def a_detector_card(**changes) -> Card:
    unseen = [DetectionClassScore(name, 0, 0, None, None) for name in ("bee", "cow")]
    classes = (DetectionClassScore("ant", 4, 9, 0.31, 0.62), *unseen)
    scores = DetectionScores(
        images=12, boxes=34, ap=0.311, ap50=0.622, ap75=0.2, ap_small=None, ap_medium=0.3, ap_large=0.5, ar_1=0.1,
        ar_10=0.2, ar_100=0.4567, ar_small=None, ar_medium=0.3, ar_large=0.5, classes=classes, low=0.25, high=0.37,
    )  # fmt: skip
    fp32 = ExportedDetector(
        format="onnx", precision="fp32", path=Path("model-nms.onnx"), sha256="cd" * 32, bytes=3_000_000, images=64,
        nms_above=0.3, boxes_difference=2e-6, scores_difference=4e-6, agreement=1.0, detections=99,
        tolerance=DetectorTolerance(), seconds=1.0, opset=17, versions={"onnx": "1.23"},
    )  # fmt: skip
    int8 = replace(
        fp32, precision="int8", path=Path("model-int8.onnx"), nms_above=None, scores_difference=0.21,
        ap=0.3, torch_ap=0.32,
    )  # fmt: skip
    card = a_card(
        title="insects",
        architecture=Architecture.parse("input_r64_c3 ds_k3_s2_c16 ssdlite_c32_n3"),
        preprocessing=Preprocessing(64, 3, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), 1.0, is_stretched=True),
        scores={"validation": scores, "test": replace(scores, low=None, high=None)},
        exports=(fp32, int8),
        examples=b"a picture",
    )
    return replace(card, **changes)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL))


@pytest.mark.parametrize("render", [render_card_html, render_card_markdown])
def test_a_card_says_all_that_is_known(render):
    text = words(render(a_card()))
    for said in (
        "flowers", "3 classes", "70.00 %", "52.10", "83.30", "72.00", "1.25 ms", "1.2", "1.3", "cpu onnxruntime 1.32",
        "minimum over 10 processes", "threads", "1.23", "0.35", "model-int8.onnx", "3e-06", "ab" * 32, "87.5 %",
        "0.5, 0.4, 0.3", "epochs 3", "ir_r2_k3_s2_e6_c24", str(ARCHITECTURE), "mnas ship runs/flowers --top 2",
        "trial 9", "above the cap of 5 ms",
    ):  # fmt: skip
        assert said in text, said


@pytest.mark.parametrize("render", [render_card_html, render_card_markdown])
def test_a_detector_s_card_says_coco_s_numbers_its_files_and_what_it_found(render):
    page = render(a_detector_card())
    text = words(page)
    for said in (
        "31.10 %", "25.00", "62.20", "45.67", "ant", "bee", "whole image, stretched to 64", "inside, above 0.3",
        "2e-06", "left to postprocess.py", "0.21", "30.00", "32.00", "2 AP lost", "boxes 1e-03, scores 1e-03 off",
        "validation AP", "before boxes are decoded and suppressed",
        "each labelled" if render is render_card_html else "examples.jpg",
    ):  # fmt: skip
        assert said in (page if said == "each labelled" else text), said
    assert "None" not in text
    assert "accuracy" not in text.lower().replace("trained on", "")


@pytest.mark.parametrize("render", [render_card_html, render_card_markdown])
def test_a_card_of_what_is_only_trained_says_what_is_missing(render):
    text = words(render(a_card(scores={}, exports=(), latency=None, candidates=(), curve=())))
    for said in ("Not evaluated yet", "Not measured", "Not exported yet"):
        assert said in text
    assert "None" not in text


@pytest.mark.parametrize("render", [render_card_html, render_card_markdown])
def test_conditions_are_told_in_a_few_words(render):
    environment = {
        "cpu": "a core", "load_seconds": [0.00123456, 0.00234567], "blocks": [10] * 20, "governor": [None] * 20,
        "clock_mhz": [[2596.138, 2601.0], [2590.0, 2596.0]], "conversion": {"from": "disk", "took_seconds": 1.23456},
        "refused": ["busy"] * 7 + ["slow", "hot", "cold", "late"], "disturbed": None,
    }  # fmt: skip
    text = words(render(a_card(latency=replace(LATENCY, environment=environment)))).replace(" |", "")
    for said in (
        "cpu a core", "load seconds 0.001235 to 0.002346", "blocks 10 ", "clock mhz 2590 to 2601",
        "conversion from disk, took seconds 1.235", "refused busy (7 times); slow; hot; and 2 more",
    ):  # fmt: skip
        assert said in text, said
    assert not {"governor", "disturbed"} & set(text.split())


def test_the_page_needs_nothing_from_elsewhere(simulate):
    result = simulate()
    page = render_card_html(a_card(origin=Origin(result, result.front[0])))
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", "href"))
    assert "<script" not in page
    assert page.count("<svg") == 3  # confusion, front, curve
    assert 'name="viewport"' in page


@pytest.mark.parametrize("render", [render_card_html, render_card_markdown])
def test_the_card_of_a_trial_shows_its_front_with_this_model_marked(render, simulate):
    result = simulate()
    trial = result.front[-1]
    page = render(a_card(origin=Origin(result, trial)))
    assert f"Trial {trial.number} of search" in page
    assert "this model" in page
    assert result.device in page


def test_text_from_outside_is_escaped():
    evil = "<script>alert(1)</script>|x"
    scores = some_scores((evil, "bee", "cow"))
    card = a_card(title=evil, scores={"test": scores}, training={evil: evil}, notes=(evil,))
    for page in (render_card_html(card), render_card_markdown(card)):
        assert "<script>alert" not in page
    rows = [line for line in render_card_markdown(card).splitlines() if line.startswith("| &lt;script")]
    assert rows
    assert all(r"\|x" in row for row in rows)


def test_markdown_tables_are_whole(simulate):
    result = simulate()
    cards = (a_card(origin=Origin(result, result.front[0])), a_detector_card())
    lines = [line for card in cards for line in render_card_markdown(card).splitlines()]
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if re.fullmatch(r"\|(---\|)+", line):
            columns = line.count("|")
            assert before.replace(r"\|", "").count("|") == columns, before
            assert after.replace(r"\|", "").count("|") == columns, after


def test_several_labels_per_image_have_their_own_columns():
    classes = tuple(ClassScore(name, 10, 0.9, 0.7, 0.8, 0.85) for name in ("ant", "bee", "cow"))
    scores = Scores(30, 0.6, 0.4, 0.7, 0.7, 0.75, classes, mean_average_precision=0.85)
    card = a_card(scores={"test": scores})
    assert "every label right" in render_card_html(card)
    assert render_card_html(card).count("<svg") == 1  # no confusion matrix
    assert "mean average precision" in render_card_markdown(card)


def test_a_thousand_classes_make_a_page_without_a_thousand_columns():
    names = tuple(f"class {number}" for number in range(200))
    card = a_card(class_names=names, scores={"test": some_scores(names)})
    page = render_card_html(card)
    assert page.count("<svg") == 1  # the curve alone
    assert "<details><summary>Each class" in page
    for text in (words(page), render_card_markdown(card)):
        assert "100 of 200 classes" in text
        assert "class 198" in text  # taken for class 199 most often of all
    assert render_card_markdown(card).count("\n| class") == 1 + 30 + 100  # pairs in place of the matrix, classes


def test_both_pages_lie_in_the_folder(tmp_path):
    write_card(a_card(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"card.html", "card.md"}
