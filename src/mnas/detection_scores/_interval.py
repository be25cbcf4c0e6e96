"""The interval of a detector's AP: the bootstrap over images.

Matching is done once, since which detections are right in an image does not depend on the other images. A draw of
images then is a weight per image, and AP a weighted sum; draws are computed side by side.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 20  # draws: 100,000 detections of a class then take 16 MB per array
_PERCENTILES = (2.5, 97.5)

_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]
_Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ClassMatches:
    """All detections of one class by falling score, and how many boxes there are to find."""

    images: _Counts  # (detections,) index of each one's image
    is_right: _Bools  # (IoU thresholds, detections)
    is_ignored: _Bools  # likewise: on a crowd
    boxes: _Counts  # (images,)


def average_precision_interval(evaluator: Any, resamples: int, seed: int) -> tuple[float, float] | None:
    """The 95 % interval of AP from an evaluator of faster-coco-eval that has run; None without resamples.

    A draw that has none of the boxes has no AP and is left out.
    """
    if not resamples:
        return None
    classes = class_matches(evaluator)
    recalls = np.asarray(evaluator.params.recThrs)
    generator, images = np.random.default_rng(seed), len(evaluator.params.imgIds)
    values: list[float] = []
    while (left := resamples - len(values)) > 0:
        draws = generator.multinomial(images, np.full(images, 1 / images), size=min(_AT_ONCE, left))
        values += average_precision(classes, draws, recalls).tolist()
    drawn = np.asarray(values)[~np.isnan(values)]
    if not len(drawn):
        return None
    low, high = np.percentile(drawn, _PERCENTILES)
    return float(low), float(high)


def average_precision(classes: list[ClassMatches], weights: _Counts, recalls: _Floats) -> _Floats:
    """AP (draws,) where each image counts as often as `weights` (draws, images) say; NaN where no box is left."""
    values = np.stack([_of_class(matches, weights, recalls) for matches in classes])
    counted = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counted, values, 0).sum(0) / counted.sum(0))


def _of_class(matches: ClassMatches, weights: _Counts, recalls: _Floats) -> _Floats:
    boxes = weights @ matches.boxes  # (draws,)
    drawn = weights[:, matches.images]  # (draws, detections)
    all_seen = drawn.cumsum(1)
    total = np.zeros(len(weights))
    for is_right, is_ignored in zip(matches.is_right, matches.is_ignored, strict=True):
        seen = (drawn * ~is_ignored).cumsum(1) if is_ignored.any() else all_seen
        at = np.flatnonzero(is_right)
        total += _area(drawn[:, at].cumsum(1), seen[:, at], boxes, recalls)
    return np.where(boxes, total / len(matches.is_right), np.nan)


def _area(right: _Counts, seen: _Counts, boxes: _Counts, recalls: _Floats) -> _Floats:
    """Mean of the precision that is kept up to each of the recalls, looked at where a detection is right."""
    precision = right / np.maximum(seen, 1)
    kept = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = right / np.maximum(boxes, 1)[:, None]
    reached = np.searchsorted(recalls, recall, side="right")  # how many of the recalls
    return np.asarray((np.diff(reached, axis=1, prepend=0) * kept).sum(1) / len(recalls))


def class_matches(evaluator: Any) -> list[ClassMatches]:
    """Which detections are right, class by class, at each IoU threshold, matched as pycocotools does."""
    params = evaluator.params
    thresholds = np.asarray(params.iouThrs)
    found = _ranked(_columns(evaluator.cocoDt, params, "score"), params.maxDets[-1])
    true = _columns(evaluator.cocoGt, params, "iscrowd")
    is_right, is_ignored = np.zeros((2, len(thresholds), len(found.values)), bool)
    crowds = _crowds(evaluator.cocoGt)
    starts = found.starts(np.asarray(params.imgIds), np.asarray(params.catIds))
    for pair, ious in evaluator.ious.items():
        if len(ious):
            at = slice(starts[pair], starts[pair] + len(ious))
            is_right[:, at], is_ignored[:, at] = _match(np.asarray(ious), crowds[pair], thresholds)
    return [
        _of_category(index, found, true, is_right, is_ignored, len(params.imgIds))
        for index in range(len(params.catIds))
    ]


@dataclass(frozen=True)
class _Columns:
    """Annotations as columns: indices of category and image, and one value."""

    categories: _Counts
    images: _Counts
    values: _Floats

    def begins(self) -> _Bools:
        """Whether a row is the first of its category and image, in rows that are sorted by these."""
        first = np.ones(len(self.values), bool)
        first[1:] = (np.diff(self.categories) != 0) | (np.diff(self.images) != 0)
        return first

    def starts(self, image_ids: _Counts, category_ids: _Counts) -> dict[tuple[int, int], int]:
        """Where the rows of an image and category begin, by their ids."""
        at = np.flatnonzero(self.begins())
        images, categories = image_ids[self.images[at]].tolist(), category_ids[self.categories[at]].tolist()
        return dict(zip(zip(images, categories, strict=True), at.tolist(), strict=True))


def _columns(annotated: Any, params: Any, key: str) -> _Columns:
    rows = annotated.dataset["annotations"]
    return _Columns(
        np.searchsorted(params.catIds, [row["category_id"] for row in rows]),
        np.searchsorted(params.imgIds, [row["image_id"] for row in rows]),
        np.asarray([row[key] for row in rows], float),
    )


def _ranked(found: _Columns, most: int) -> _Columns:
    """By category, image and falling score; at most so many of one category in one image."""
    order = np.lexsort((-found.values, found.images, found.categories))
    ranked = _Columns(found.categories[order], found.images[order], found.values[order])
    place = np.arange(len(order))
    kept = place - np.maximum.accumulate(np.where(ranked.begins(), place, 0)) < most
    return _Columns(ranked.categories[kept], ranked.images[kept], ranked.values[kept])


def _crowds(annotated: Any) -> dict[tuple[int, int], _Bools]:
    flags = defaultdict(list)
    for row in annotated.dataset["annotations"]:
        flags[row["image_id"], row["category_id"]].append(row["iscrowd"])
    return {pair: np.asarray(values, bool) for pair, values in flags.items()}


def _match(ious: _Floats, is_crowd: _Bools, thresholds: _Floats) -> tuple[_Bools, _Bools]:
    """Of one image and class, from IoUs (detections by falling score, boxes): what is right, what is on a crowd.

    The best detection takes the box it overlaps most of those that are left; of equals the last.
    """
    is_right, is_ignored = np.zeros((2, len(thresholds), len(ious)), bool)
    is_free = np.repeat(~is_crowd[None], len(thresholds), 0)
    for row in np.flatnonzero(ious.max(1) >= thresholds[0]):
        fits = ious[row] >= thresholds[:, None]  # (thresholds, boxes)
        overlap = np.where(fits & is_free, ious[row], -1)
        best = overlap.shape[1] - 1 - overlap[:, ::-1].argmax(1)
        takes = overlap.max(1) >= 0
        is_free[takes, best[takes]] = False
        is_right[:, row] = takes
        is_ignored[:, row] = ~takes & (fits & is_crowd).any(1)
    return is_right, is_ignored


def _of_category(
    index: int, found: _Columns, true: _Columns, is_right: _Bools, is_ignored: _Bools, images: int
) -> ClassMatches:
    low, high = np.searchsorted(found.categories, [index, index + 1])
    order = low + np.argsort(-found.values[low:high], kind="stable")
    counted = (true.categories == index) & (true.values == 0)
    boxes = np.bincount(true.images[counted], minlength=images)
    return ClassMatches(found.images[order], is_right[:, order], is_ignored[:, order], boxes)
