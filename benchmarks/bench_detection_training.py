"""Training detectors: images per second of ours beside torchvision's SSDLite with the same backbone.

    python benchmarks/bench_detection_training.py                 # MobileNetV2 x1.0 at 320 px, some minutes
    python benchmarks/bench_detection_training.py --resolution 160 --batch 8

torchvision's step is what its references/detection/engine.py does: a list of images in 0..1 and boxes go into its SSD
with its SSDLite heads, the losses are summed, backward, SGD. Its backbone is its own MobileNetV2, tapped where the
public configuration taps it, with its extra layers; then its SSD around our backbone, which tells what the backbone
is worth. Ours is `mnas.training.train` with the same optimizer and without average and clipping. All get the same
uint8 batches and boxes from memory; decoding is on no side. torchvision has six default boxes on the finest map, we
three. The ways take turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mnas.models import Detector, build_detector, import_torchvision, reference_architecture
from mnas.space import Architecture, feature_maps
from mnas.training import Detection, Recipe, train

CLASSES, RATE, OBJECTS = 90, 0.001, 8  # a small rate: what is timed is the work, not the result


@dataclass(frozen=True)
class NoiseBoxes:
    """Noise with random boxes, in memory; data set and split in one."""

    resolution: int
    pixels: Tensor
    boxes: Tensor
    name = "noise"
    class_names = tuple(str(number) for number in range(CLASSES))
    channels = 3
    mirrors = True
    is_cropped = True
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    @property
    def image_ids(self) -> tuple[int, ...]:
        return tuple(range(len(self)))

    def __len__(self) -> int:
        return len(self.pixels)

    def split(self, part: str) -> NoiseBoxes:
        return self

    def truth(self) -> dict[str, Any]:
        return {"images": [], "annotations": [], "categories": []}

    def batches(
        self, size: int, seed: int | None = None, start: int = 0, step: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        yield from list(zip(torch.split(self.pixels, size), torch.split(self.boxes, size), strict=True))[start::step]


def noise(resolution: int, count: int) -> NoiseBoxes:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, resolution, resolution), generator=generator).to(torch.uint8)
    corners = torch.rand(count, OBJECTS, 2, generator=generator) * 0.6
    sides = torch.rand(count, OBJECTS, 2, generator=generator) * 0.3 + 0.05
    classes = torch.randint(CLASSES, (count, OBJECTS, 1), generator=generator)
    return NoiseBoxes(resolution, pixels, torch.cat([corners, corners + sides, classes], 2))


def ours(architecture: Architecture, data: NoiseBoxes, batch: int) -> Callable[[], None]:
    """One epoch of `mnas.training.train`."""
    detector = build_detector(architecture, seed=0)
    recipe = Recipe(
        1, batch, RATE, warmup_epochs=0, label_smoothing=0.0, ema=0.0, norm_warmup=False, optimizer="sgd"
    )  # fmt: skip
    task = Detection(architecture, recipe)

    def epoch() -> None:
        train(detector, data, recipe, seed=0, task=task, evaluate_on=None)

    return epoch


class OurMaps(nn.Module):
    """Our backbone and extra layers as torchvision's SSD wants them."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return OrderedDict((str(number), found) for number, found in enumerate(self.detector.maps(images)))


class TorchvisionMaps(nn.Module):
    """torchvision's MobileNetV2, tapped behind the expansion of its last layer with a stride, and extra layers."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2
        from torchvision.models.detection.ssdlite import _extra_block

        features = mobilenet_v2(weights=None).features
        tapped = features[14].conv
        self.to_tap = nn.Sequential(*features[:14], tapped[0])
        self.from_tap = nn.Sequential(*tapped[1:], *features[15:])
        widths = (1280, 512, 256, 256, 128)
        pairs = itertools.pairwise(widths)
        self.extra = nn.ModuleList(_extra_block(before, after, nn.BatchNorm2d) for before, after in pairs)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = [self.to_tap(images)]
        for layer in (self.from_tap, *self.extra):
            maps.append(layer(maps[-1]))
        return OrderedDict((str(number), found) for number, found in enumerate(maps))


def torchvisions(maps: nn.Module, architecture: Architecture, data: NoiseBoxes, batch: int) -> Callable[[], None]:
    """One epoch of torchvision's step."""
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD
    from torchvision.models.detection.ssdlite import SSDLiteHead

    boxes = DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95)
    filters = [found.filters for found in feature_maps(architecture)]
    head = SSDLiteHead(filters, boxes.num_anchors_per_location(), CLASSES + 1, nn.BatchNorm2d)
    side = data.resolution
    model = SSD(maps, boxes, (side, side), CLASSES + 1, head=head).train()
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, nesterov=True)

    def epoch() -> None:
        for pixels, rows in data.batches(batch):
            images = list(pixels.float() / 255)
            targets = [{"boxes": some[:, :4] * side, "labels": some[:, 4].long() + 1} for some in rows]
            loss = sum(model(images, targets).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """The table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2, help="of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torchvision = import_torchvision()
    architecture = reference_architecture("ssdlite-mobilenet-v2", resolution=options.resolution)
    data = noise(options.resolution, options.batch * options.steps)
    shared = architecture, data, options.batch
    ways = {
        "torchvision's SSD, its MobileNetV2": torchvisions(TorchvisionMaps(), *shared),
        "torchvision's SSD, our MobileNetV2": torchvisions(OurMaps(build_detector(architecture, seed=0)), *shared),
        "ours": ours(*shared),
    }
    for work in ways.values():
        work()
    rounds = [{name: timed(work) for name, work in ways.items()} for _ in range(options.rounds)]
    images = options.batch * options.steps
    medians = {name: images / statistics.median(row[name] for row in rounds) for name in ways}
    first, *_, last = medians
    ratios = [row[first] / row[last] for row in rounds]
    print(
        f"images per second: SSDLite on MobileNetV2, {options.resolution} px, batch {options.batch}, "
        f"{options.threads} thread(s); medians of {options.rounds} rounds"
    )
    for name, value in medians.items():
        print(f"  {name:38}{value:9.2f}{value / medians[first]:7.2f} x")
    print(f"  ours / torchvision round by round: {min(ratios):.2f} to {max(ratios):.2f}")
    document = {
        "benchmark": "detection_training",
        "unit": "images/s",
        "results": {name: round(value, 2) for name, value in medians.items()},
        "ours_over_torchvision": round(statistics.median(ratios), 3),
        **vars(options),
        "torchvision": torchvision.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
