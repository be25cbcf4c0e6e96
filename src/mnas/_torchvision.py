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

import numpy as np
import torch

from mnas.errors import needs_extra

_SYMPTOM = "operator torchvision::nms does not exist"
_BLOCK = 128  # boxes
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
    kept = [order[:0]]
    while len(order):
        # A block against all that is left: box by box, a thousand boxes would take a fifth of a second.
        overlaps = (_iou(dets[order[:_BLOCK]], dets[order]) > iou_threshold).numpy()  # an empty box has nan and stays
        is_gone, chosen = np.zeros(len(order), bool), []
        for index, row in enumerate(overlaps):
            if not is_gone[index]:
                chosen.append(index)
                is_gone |= row
        kept.append(order[chosen])
        order = order[len(overlaps) :][torch.from_numpy(~is_gone[len(overlaps) :])]
    return torch.cat(kept)


def _iou(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(some, others) from boxes (some, 4) and (others, 4)."""
    some = some[:, None]
    corner, end = torch.maximum(some[..., :2], others[:, :2]), torch.minimum(some[..., 2:], others[:, 2:])
    overlap = (end - corner).clamp_(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (some, others)]
    return overlap / (areas[0] + areas[1] - overlap)
