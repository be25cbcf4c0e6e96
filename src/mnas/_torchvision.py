"""The one way torchvision is imported: beside a CPU-only torch its wheel from PyPI needs help.

That wheel is linked against CUDA. Beside a CPU-only torch its operators do not load, and the import ends in
"operator torchvision::nms does not exist". Transforms, models and data sets need none of them, so the two
operators that the import looks for are declared here, nms with a kernel of plain torch. With matching builds
nothing of this happens. What stays missing in that case: roi_align and its kind, and torchvision.io.
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any, cast

import torch

from mnas.errors import needs_extra

_SYMPTOM = "operator torchvision::nms does not exist"
_libraries: list[Any] = []  # a Library takes its operators with it when it is collected


def import_torchvision() -> ModuleType:
    """torchvision, imported; call this before importing any part of it, or timm.

    Raises:
        SettingsError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise needs_extra("torchvision", "vision") from error
    except RuntimeError as error:
        if _SYMPTOM not in str(error):
            raise
    return _import_with_operators()


@cache
def _import_with_operators() -> ModuleType:
    library: Any = cast(Any, torch.library.Library)("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    _libraries.append(library)
    torchvision = importlib.import_module("torchvision")
    # Its nms first asks whether all compiled operators are there. Elsewhere that question stays.
    boxes: Any = importlib.import_module("torchvision.ops.boxes")
    boxes._assert_has_ops = _nothing
    return torchvision


def _nothing() -> None:
    """Stands where nms would refuse to run."""


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes (n, 4: x1, y1, x2, y2) that no better-scored kept box overlaps, by falling score."""
    order = scores.argsort(descending=True, stable=True)
    areas = (dets[:, 2:] - dets[:, :2]).prod(1)
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        corner = torch.maximum(dets[best, :2], dets[order, :2])
        sides = (torch.minimum(dets[best, 2:], dets[order, 2:]) - corner).clamp_(min=0)
        overlap = sides.prod(1)
        iou = overlap / (areas[best] + areas[order] - overlap)
        order = order[~(iou > iou_threshold)]  # not <=: an empty box has an IoU of nan and stays
    return torch.stack(kept) if kept else order
