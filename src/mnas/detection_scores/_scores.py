"""DetectionScores: COCO's twelve numbers, class by class, and an interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.detection_scores._interval import average_precision_interval
from mnas.detection_scores._results import check_results
from mnas.errors import SettingsError, needs_extra

_IOU_50 = 0  # index of the IoU threshold .5 among .5, .55 ... .95
_STATS = (  # in the order of pycocotools
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip
_ANY_AREA, _MOST = 0, -1  # indices: boxes of every size; 100 detections per image


@dataclass(frozen=True)
class DetectionClassScore:
    """One class. Average precisions are fractions; None where the ground truth has no box of the class."""

    name: str
    images: int  # that have boxes of this class
    boxes: int  # crowds left out
    ap: float | None
    ap50: float | None


@dataclass(frozen=True)
class DetectionScores:
    """What a detector finds on the images of one split, by COCO's metrics. Everything is a fraction.

    AP is the mean of the classes' average precisions at IoU .5, .55 ... .95; AR the mean recall likewise, with at
    most so many detections per image. Small boxes have an area below 32 x 32 pixels of the original image, large
    ones above 96 x 96. None where the ground truth has no such box (pycocotools: -1).
    """

    images: int
    boxes: int  # of the ground truth, crowds left out
    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar_1: float | None
    ar_10: float | None
    ar_100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    classes: tuple[DetectionClassScore, ...]
    low: float | None = None  # the AP's 95 % interval for so many images; None: not asked for
    high: float | None = None

    @property
    def stats(self) -> tuple[float | None, ...]:
        """The twelve numbers in the order of pycocotools' `stats`."""
        return tuple(getattr(self, name) for name in _STATS)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DetectionScores:
        """The inverse of `to_dict`, from JSON too."""
        return cls(**{**data, "classes": tuple(DetectionClassScore(**row) for row in data["classes"])})


def detection_scores(
    truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], *, resamples: int = 200, seed: int = 0
) -> DetectionScores:
    """The scores of COCO results against a COCO ground truth; neither is changed.

        detection_scores(dataset.split("validation").truth(), results).ap50

    All images of the ground truth count, those without boxes and without results too. Crowd boxes neither count
    nor make a detection on them wrong. An annotation without area gets its box's.

    Args:
        truth: a dict with images, annotations and categories.
        results: dicts with image_id, category_id, bbox (x, y, width, height in pixels) and score; may be empty.
        resamples: how many draws of as many images, with replacement, the interval of AP comes from
            (the bootstrap, Efron 1979; percentiles 2.5 and 97.5); 0 leaves it out.
        seed: of these draws.

    Raises:
        SettingsError: results of another kind or of other images, or faster-coco-eval is not installed.
    """
    if resamples < 0:
        raise SettingsError(f"resamples should be 0 or more, got {resamples}")
    check_results(results, truth)
    annotations = _annotations(truth)
    evaluator = _evaluator(truth, annotations, _detected(results))
    evaluator.run()
    stats = {name: _or_none(value) for name, value in zip(_STATS, evaluator.stats, strict=True)}
    boxes = [row for row in annotations if not row["iscrowd"]]
    classes = _class_scores(truth, boxes, evaluator.params.catIds, evaluator.eval["precision"])
    low, high = _interval(evaluator, stats["ap"], resamples, seed)
    return DetectionScores(
        images=len(truth["images"]), boxes=len(boxes), classes=classes, low=low, high=high, **stats
    )


def _annotations(truth: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What counts of the ground truth, numbered from 1: the evaluation takes a box with the id 0 for no match."""
    images = {image["id"] for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    rows = [row for row in truth["annotations"] if row["image_id"] in images and row["category_id"] in categories]
    return [
        {
            "id": number,
            "image_id": row["image_id"],
            "category_id": row["category_id"],
            "bbox": row["bbox"],
            "area": row.get("area", row["bbox"][2] * row["bbox"][3]),
            "iscrowd": int(row.get("iscrowd", 0)),
        }
        for number, row in enumerate(rows, start=1)
    ]


def _detected(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image_id": row["image_id"],
            "category_id": row["category_id"],
            "bbox": row["bbox"],
            "area": row["bbox"][2] * row["bbox"][3],
            "iscrowd": 0,
            "score": row["score"],
        }
        for number, row in enumerate(results, start=1)
    ]


def _evaluator(truth: Mapping[str, Any], annotations: list[dict[str, Any]], detected: list[dict[str, Any]]) -> Any:
    """faster-coco-eval's evaluator, which logs in place of printing."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError as error:
        if error.name != "faster_coco_eval":
            raise
        raise needs_extra("faster-coco-eval", "detection") from error
    images = [{"id": image["id"]} for image in truth["images"]]
    categories = [{"id": category["id"]} for category in truth["categories"]]
    # Without its loadRes, which gives each of half a million results a segmentation that nobody reads.
    true, found = (
        COCO({"images": images, "categories": categories, "annotations": rows}) for rows in (annotations, detected)
    )
    return COCOeval_faster(true, found, "bbox")


def _class_scores(
    truth: Mapping[str, Any],
    boxes: list[dict[str, Any]],
    category_ids: Sequence[int],
    precision: NDArray[np.float64],  # (IoU thresholds, recalls, categories, areas, detections per image)
) -> tuple[DetectionClassScore, ...]:
    columns = {int(category): column for column, category in enumerate(category_ids)}
    counts = Counter(row["category_id"] for row in boxes)
    images = Counter(category for category, _ in {(row["category_id"], row["image_id"]) for row in boxes})
    rows = []
    for category in truth["categories"]:
        number = category["id"]
        values = precision[:, :, columns[number], _ANY_AREA, _MOST]
        figures = (_or_none(values.mean()), _or_none(values[_IOU_50].mean()))
        rows.append(DetectionClassScore(category["name"], images[number], counts[number], *figures))
    return tuple(rows)


def _interval(evaluator: Any, ap: float | None, resamples: int, seed: int) -> tuple[float | None, float | None]:
    interval = None if ap is None else average_precision_interval(evaluator, resamples, seed)
    if ap is None or interval is None:
        return None, None
    # With few images the percentiles may lie beside the AP itself, which belongs to any interval of it.
    return min(interval[0], ap), max(interval[1], ap)


def _or_none(value: float) -> float | None:
    """-1 stands for what there is none of."""
    return float(value) if value >= 0 else None
