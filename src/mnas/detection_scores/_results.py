"""COCO results: detections as dicts with an image's id, a category's id, a box in pixels and a score."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from mnas._whole_file import write_whole
from mnas.detection_scores._detections import Detections
from mnas.errors import SettingsError

_KEYS = ("image_id", "category_id", "bbox", "score")
_DECIMALS = 2  # of a pixel: far below what an IoU can tell, and a third of the file's size


def coco_results(
    image_ids: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    detections: Sequence[Detections],
    category_ids: Sequence[int],
) -> list[dict[str, Any]]:
    """Detections of images as COCO results.

    Boxes are x, y, width, height in pixels of the original image, to a hundredth; scores keep every digit,
    because rounded ones would tie and be ranked otherwise.

        coco_results([17], [(640, 480)], detections_of(outputs, default_boxes), [1, 2, 3])[0]
        # {"image_id": 17, "category_id": 2, "bbox": [64.0, 48.5, 31.25, 20.0], "score": 0.87}

    Args:
        image_ids: of each image.
        sizes: width and height of each original image.
        detections: of each image.
        category_ids: of each class index.

    Raises:
        SettingsError: not as many ids, sizes and detections, or a class without a category id.
    """
    if not len(image_ids) == len(sizes) == len(detections):
        raise SettingsError(
            "results need one id, one size and one detections per image, got "
            f"{len(image_ids)} ids, {len(sizes)} sizes and {len(detections)} detections"
        )
    results: list[dict[str, Any]] = []
    for image_id, size, found in zip(image_ids, sizes, detections, strict=True):
        results += _of_image(int(image_id), size, found, category_ids)
    return results


def _of_image(
    image_id: int, size: tuple[int, int], found: Detections, category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    classes = found.classes.tolist()
    if classes and not 0 <= min(classes) <= max(classes) < len(category_ids):
        raise SettingsError(
            f"classes {min(classes)} to {max(classes)} were detected in image {image_id}, but there are category "
            f"ids of {len(category_ids)} classes: give one per class of the model"
        )
    corners = found.boxes.astype(np.float64) * np.asarray(size * 2)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).round(_DECIMALS).tolist()
    scores = found.scores.astype(str)  # the shortest decimals that are this float32
    return [
        {"image_id": image_id, "category_id": int(category_ids[index]), "bbox": box, "score": float(score)}
        for index, box, score in zip(classes, boxes, scores, strict=True)
    ]


def write_results(path: str | os.PathLike[str], results: Sequence[Mapping[str, Any]]) -> None:
    """Write results as the JSON file that COCO's server and tools take, whole or not at all.

    Raises:
        SettingsError: the file's folder does not exist, or a number is not finite.
        StorageError: it could not be written.
    """
    try:
        text = json.dumps(list(results), separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise SettingsError(f"cannot write results with a number that is not finite: {error}") from error
    write_whole(path, text.encode())


def read_results(path: str | os.PathLike[str], truth: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The results in a file, which must be of images and categories of this ground truth (a COCO dict).

    Raises:
        SettingsError: there is no such file, or it is of another kind; the message names the first wrong result.
    """
    try:
        results = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise SettingsError(f"cannot read results from {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON ({error}): expected a list of COCO results") from error
    check_results(results, truth, str(path))
    return list(results)


def check_results(results: Any, truth: Mapping[str, Any], source: str = "the results") -> None:
    """Refuse what are not results of this ground truth's images and categories.

    Raises:
        SettingsError: naming the first wrong result.
    """
    if isinstance(results, str | bytes | Mapping) or not isinstance(results, Sequence):
        raise SettingsError(f"{source} should be a list of dicts with {', '.join(_KEYS)}, got {_described(results)}")
    images = {image["id"] for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    for index, result in enumerate(results):
        if not _is_sound(result, images, categories):
            raise SettingsError(f"{source}: result {index} {_fault(result, images, categories)}")


def _described(value: Any) -> str:
    if isinstance(value, Mapping) and "annotations" in value:
        return "a dict with annotations, which looks like a ground truth"
    return f"a value of type {type(value).__name__}"


def _is_sound(result: Any, images: Set[int], categories: Set[int]) -> bool:
    """Whether nothing is wrong, in one look: there may be half a million results."""
    try:
        x, y, width, height = result["bbox"]
        return (
            result["image_id"] in images
            and result["category_id"] in categories
            and width >= 0 <= height
            and math.isfinite(x + y + width + height + result["score"])
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return False


def _fault(result: Any, images: Set[int], categories: Set[int]) -> str:
    """What is wrong, in words that end the sentence "result 3 ..."."""
    if not isinstance(result, Mapping):
        return f"should be a dict with {', '.join(_KEYS)}, got {_described(result)}"
    if missing := [key for key in _KEYS if key not in result]:
        return f"lacks {' and '.join(missing)}: it should have {', '.join(_KEYS)}"
    for key, known, whose in (("image_id", images, "images"), ("category_id", categories, "categories")):
        if not isinstance(result[key], Integral) or result[key] not in known:
            return (
                f"has the {key} {result[key]!r}, which is none of the ground truth's {len(known)} {whose}: "
                "results and ground truth should be of the same split"
            )
    if not _is_number(result["score"]):
        return f"has the score {result['score']!r}, expected a finite number"
    return f"has the bbox {result['bbox']!r}, expected x, y, width, height: finite, no negative width or height"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
