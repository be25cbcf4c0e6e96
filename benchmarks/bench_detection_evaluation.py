"""Detection evaluation: seconds for COCO's twelve numbers, ours beside pycocotools, on the same results.

    python benchmarks/bench_detection_evaluation.py                  # as COCO's val2017: 5,000 images, ten minutes
    python benchmarks/bench_detection_evaluation.py --images 1000    # two minutes

The set is made up: 7.2 boxes of 80 classes per image and 100 detections, of which some frame a box more or less
exactly. Each way starts from ground truth and results as they come out of JSON, in memory, and ends with the twelve
numbers; ours also checks every result, gives the table of classes and leaves what it was given as it was. The ways
take turns, so that a change of the machine's load meets all of them. All must find the same numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import faster_coco_eval
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mnas.detection_scores import detection_scores

BOXES, DETECTIONS, CLASSES = 7.2, 100, 80  # per image, per image, in all
WIDTH, HEIGHT = 640, 480

Truth = dict[str, Any]
Results = list[dict[str, Any]]
Stats = list[float]
Boxes = NDArray[np.float64]


def boxes(count: int, generator: np.random.Generator) -> Boxes:
    """Boxes x, y, width, height (count, 4) of sizes from 8 to 300 pixels."""
    sides = np.exp(generator.uniform(np.log(8), np.log(300), (count, 2)))
    return np.concatenate([generator.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - sides), sides], 1)


def made(images: int) -> tuple[str, str]:
    """Ground truth and results as JSON."""
    generator = np.random.default_rng(0)
    true, owners = boxes(round(BOXES * images), generator), generator.integers(images, size=round(BOXES * images))
    classes = generator.integers(CLASSES, size=len(true))
    annotations = [
        {"id": i + 1, "image_id": int(owners[i]) + 1, "category_id": int(classes[i]) + 1, "bbox": box.tolist(),
         "area": float(box[2] * box[3]), "iscrowd": int(i % 100 == 0)}
        for i, box in enumerate(true.round(2))
    ]  # fmt: skip
    found = boxes(DETECTIONS * images, generator)
    named = generator.integers(CLASSES, size=len(found))
    scores = generator.beta(0.3, 3, len(found))
    places = DETECTIONS * owners + np.arange(len(true)) % DETECTIONS  # of the detections that frame a box
    found[places] = true + generator.normal(0, 0.06, true.shape) * true[:, [2, 3, 2, 3]]
    named[places], scores[places] = classes, generator.beta(2, 2, len(true))
    results = [
        {"image_id": i // DETECTIONS + 1, "category_id": int(named[i]) + 1, "bbox": box.tolist(),
         "score": float(scores[i])}
        for i, box in enumerate(found.round(2))
    ]  # fmt: skip
    truth = {
        "images": [{"id": i + 1, "width": WIDTH, "height": HEIGHT} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": str(i)} for i in range(CLASSES)],
    }
    return json.dumps(truth), json.dumps(results)


def by_pycocotools(truth: Truth, results: Results) -> Stats:
    with contextlib.redirect_stdout(io.StringIO()):
        true = COCO()
        true.dataset = truth
        true.createIndex()
        evaluation = COCOeval(true, true.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def by_faster_coco_eval(truth: Truth, results: Results) -> Stats:
    true = faster_coco_eval.COCO(truth)
    evaluation = faster_coco_eval.COCOeval_faster(true, true.loadRes(results), "bbox")
    evaluation.run()
    return [float(value) for value in evaluation.stats]


def ours(truth: Truth, results: Results, resamples: int = 0) -> Stats:
    stats = detection_scores(truth, results, resamples=resamples).stats
    return [-1.0 if value is None else value for value in stats]


WAYS: dict[str, Callable[[Truth, Results], Stats]] = {
    "pycocotools": by_pycocotools,
    "faster-coco-eval": by_faster_coco_eval,
    "ours": ours,
    "ours, with AP's interval": lambda truth, results: ours(truth, results, 200),
}


def timed(way: Callable[[Truth, Results], Stats], truth: str, results: str) -> tuple[float, Stats]:
    """Seconds and numbers, of a copy of its own, which some ways change."""
    given = json.loads(truth), json.loads(results)
    start = time.perf_counter()
    stats = way(*given)
    return time.perf_counter() - start, stats


def main() -> None:
    """The table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    small = made(20)
    for way in WAYS.values():
        timed(way, *small)  # libraries are loaded
    data = made(options.images)
    rounds = [{name: timed(way, *data) for name, way in WAYS.items()} for _ in range(options.rounds)]
    seconds = {name: statistics.median(row[name][0] for row in rounds) for name in WAYS}
    stats = {name: rounds[0][name][1] for name in WAYS}
    first, *_ = WAYS
    differences = {name: float(np.abs(np.subtract(stats[name], stats[first])).max()) for name in WAYS}
    assert max(differences.values()) < 1e-12, differences
    annotations, results = len(json.loads(data[0])["annotations"]), len(json.loads(data[1]))
    print(
        f"seconds: {options.images:,} images, {annotations:,} boxes, {results:,} detections, {CLASSES} classes; "
        f"medians of {options.rounds} rounds"
    )
    for name, value in seconds.items():
        print(f"  {name:26}{value:9.2f}{seconds[first] / value:8.1f} x   largest difference {differences[name]:.0e}")
    print("  the twelve numbers of all: " + " ".join(f"{value:.4f}" for value in stats[first]))
    document = {
        "benchmark": "detection_evaluation",
        "unit": "s",
        "results": {name: round(value, 3) for name, value in seconds.items()},
        "largest_difference": max(differences.values()),
        **vars(options),
        "boxes": annotations,
        "detections": results,
        **{name: version(name) for name in ("pycocotools", "faster-coco-eval", "numpy")},
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
