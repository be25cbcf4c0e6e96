"""Milliseconds per image from a detector's outputs to its detections, beside torchvision's SSD post-processing.

    python benchmarks/bench_detections.py [--images 8] [--rounds 5]

As many default boxes as ssdlite320 has, 90 classes, random outputs on which the background wins nearly everywhere.
Both sides decode, clip, take at most 400 candidates of a class, suppress at an IoU of .6 and keep 100; torchvision's
is `SSD.postprocess_detections` of its own ssdlite320. Beside a torchvision without compiled operators both use our
nms in plain torch. The ways take turns, and must find the same.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnas._torchvision import _import_with_operators
from mnas.models import Detections, detections_of, import_torchvision

CLASSES, BOXES = 90, 3_234
SCORES = (1e-8, 1e-3, 0.01, 0.3)
IOU, MOST = 0.6, 100


def made(images: int) -> tuple[Tensor, Tensor]:
    """Outputs and default boxes."""
    generator = torch.Generator().manual_seed(0)
    centre, side = (torch.rand(BOXES, 2, generator=generator) for _ in range(2))
    side = 0.05 + 0.3 * side
    outputs = torch.randn(images, BOXES, 5 + CLASSES, generator=generator)
    outputs[..., 4] += 9
    outputs[:, ::40, 10] += 11
    return outputs, torch.cat([centre - side / 2, centre + side / 2], 1)


def torchvisions(outputs: Tensor, default: Tensor, detector: Any, score: float) -> list[Detections]:
    detector.score_thresh, detector.nms_thresh, detector.detections_per_img = score, IOU, MOST
    head = {"bbox_regression": outputs[..., :4], "cls_logits": outputs[..., 4:]}
    count = len(outputs)
    found = detector.postprocess_detections(head, [default] * count, [(1, 1)] * count)
    return [Detections(row["boxes"].numpy(), row["scores"].numpy(), row["labels"].numpy() - 1) for row in found]


def timed(way: Callable[[], list[Detections]]) -> tuple[float, list[Detections]]:
    start = time.perf_counter()
    found = way()
    return 1e3 * (time.perf_counter() - start) / len(found), found


def main() -> None:
    """The table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    import_torchvision()
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    detector = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    outputs, default = made(options.images)
    is_compiled = not _import_with_operators.cache_info().currsize
    print(
        f"ms per image: {BOXES:,} default boxes, {CLASSES} classes, one thread, torchvision "
        f"{'with' if is_compiled else 'without'} compiled operators; medians of {options.rounds} rounds"
    )
    print(f"  {'score above':>12}{'torchvision':>14}{'ours':>10}")
    results = {}
    for score in SCORES:
        ways: dict[str, Callable[[], list[Detections]]] = {
            "torchvision": lambda score=score: torchvisions(outputs, default, detector, score),  # type: ignore[misc]
            "ours": lambda score=score: detections_of(outputs, default, score=score, iou=IOU, most=MOST),  # type: ignore[misc]
        }
        rounds = [{name: timed(way) for name, way in ways.items()} for _ in range(options.rounds)]
        for theirs, own in zip(rounds[0]["torchvision"][1], rounds[0]["ours"][1], strict=True):
            assert np.allclose(theirs.scores, own.scores, rtol=1e-5)
            assert np.array_equal(theirs.classes, own.classes)
        ms = {name: statistics.median(row[name][0] for row in rounds) for name in ways}
        print(f"  {score:12g}{ms['torchvision']:14.2f}{ms['ours']:10.2f}")
        results[f"{score:g}"] = {name: round(value, 3) for name, value in ms.items()}
    document = {
        "benchmark": "detections",
        "unit": "ms per image",
        "results": results,
        **vars(options),
        "compiled_operators": is_compiled,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
