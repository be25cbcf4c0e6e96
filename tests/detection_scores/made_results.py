"""Ground truths and results that are made up, and what pycocotools says of them."""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIDE = 300  # pixels of every image: boxes of all three sizes fit


def made_truth(images: int, boxes: int, categories: int, seed: int = 0, crowds: float = 0.1) -> dict[str, Any]:
    """A COCO ground truth with gaps in its ids, whose boxes lie at random."""
    generator = np.random.default_rng(seed)
    annotations = [
        {
            "id": 3 * number + 1,
            "image_id": 10 + 7 * int(generator.integers(images)),
            "category_id": 2 + 3 * int(generator.integers(categories)),
            "bbox": made_box(generator),
            "iscrowd": int(generator.random() < crowds),
        }
        for number in range(boxes)
    ]
    for row in annotations:
        row["area"] = row["bbox"][2] * row["bbox"][3] * 0.8  # as of a mask: it is not the box's
    return {
        "images": [{"id": 10 + 7 * i, "width": SIDE, "height": SIDE} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": 2 + 3 * i, "name": f"class {i}"} for i in range(categories)],
    }


def made_box(generator: np.random.Generator) -> list[float]:
    width, height = (float(side) for side in np.exp(generator.uniform(1.5, 5.5, 2)))
    return [
        float(generator.uniform(0, max(SIDE - width, 1))),
        float(generator.uniform(0, max(SIDE - height, 1))),
        width,
        height,
    ]


def made_results(truth: dict[str, Any], wrong: int, seed: int = 0, tied: bool = False) -> list[dict[str, Any]]:
    """Most boxes found, some of them twice, more or less exactly, and some that are nothing."""
    generator = np.random.default_rng(seed)
    found = []
    for row in truth["annotations"]:
        for _ in range(int(generator.choice([0, 1, 1, 1, 2]))):
            box = np.asarray(row["bbox"]) * generator.normal(1, 0.08, 4)
            found.append((row["image_id"], row["category_id"], np.abs(box).tolist()))
    for _ in range(wrong):
        image, category = (generator.choice([row["id"] for row in truth[key]]) for key in ("images", "categories"))
        found.append((int(image), int(category), made_box(generator)))
    scores = generator.random(len(found))
    scores = scores.round(1) if tied else scores
    return [
        {"image_id": image, "category_id": category, "bbox": box, "score": float(score)}
        for (image, category, box), score in zip(found, scores, strict=True)
    ]


def pycocotools_stats(
    truth: dict[str, Any], results: list[dict[str, Any]], category: int | None = None
) -> list[float | None]:
    """pycocotools' twelve numbers, of one category alone if given; None for -1."""
    with contextlib.redirect_stdout(io.StringIO()):
        true = COCO()
        true.dataset = copy.deepcopy(truth)
        true.createIndex()
        if results:
            found = true.loadRes(copy.deepcopy(results))
        else:  # its loadRes fails on an empty list
            found = COCO()
            found.dataset = {**copy.deepcopy(truth), "annotations": []}
            found.createIndex()
        evaluation = COCOeval(true, found, "bbox")
        if category is not None:
            evaluation.params.catIds = [category]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if value == -1 else float(value) for value in evaluation.stats]
