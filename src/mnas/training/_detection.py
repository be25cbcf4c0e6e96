"""Detection: the task of finding objects, by SSD's losses."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mnas.datasets import DetectionDataset, Part
from mnas.detection_scores import Detections, DetectionScores, coco_results, detection_scores
from mnas.errors import SettingsError, TrainingError
from mnas.models import default_boxes, detections_of
from mnas.models._detections import Activation
from mnas.space import Architecture
from mnas.training._augment import Moves, RandomMoves
from mnas.training._detection_loss import BoxLoss
from mnas.training._evaluate import Normalize
from mnas.training._processes import Processes
from mnas.training._recipe import Recipe

_BATCH = 32
# What would have to change boxes too, or has no meaning for them, and how a recipe says that it does without.
_WITHOUT: Mapping[str, Any] = {
    "shift": 0, "randaugment": 0, "erasing": 0, "mixup": 0, "label_smoothing": 0, "dropout": 0, "distillation": 0,
    "class_weights": "none", "sampling": "plain",
}  # fmt: skip


class Detection:
    """Where objects are and of which class; how good that is, is COCO's AP."""

    def __init__(self, architecture: Architecture, recipe: Recipe, metric: Literal["ap", "ap50"] = "ap") -> None:
        self._architecture, self._metric = architecture, metric
        self._activation: Activation = activation_of(recipe)

    def changes(self, recipe: Recipe, dataset: DetectionDataset, images: Any, device: torch.device) -> BoxMirror:
        """Mirrors. Crops are the data set's.

        Raises:
            SettingsError: the recipe has changes that boxes do not follow.
        """
        unknown = [name for name, without in _WITHOUT.items() if getattr(recipe, name) != without]
        if unknown:
            wanted = ", ".join(f"{name} = {_WITHOUT[name]!r}" for name in unknown)
            raise SettingsError(
                f"detectors are trained without {', '.join(unknown)}: set {wanted}, or take a recipe for detectors"
            )
        return BoxMirror(RandomMoves(0, recipe.mirror and dataset.mirrors), Normalize(dataset, device))

    def loss(self, recipe: Recipe, dataset: DetectionDataset, images: Any, device: torch.device) -> BoxLoss:
        """SSD's."""
        return BoxLoss(default_boxes(self._architecture).to(device), recipe.detection_loss)

    def evaluate(self, module: nn.Module, dataset: DetectionDataset, part: Part, processes: Processes) -> float:
        """AP, the mean over IoU .5 to .95, or at .5 alone; each process of several works it out by itself."""
        scores, _ = scored(module, dataset, part, self._activation, resamples=0)
        return (scores.ap if self._metric == "ap" else scores.ap50) or 0.0

    def loss_of_a_guess(self, dataset: DetectionDataset) -> float:
        """Of each default box that is looked at, and three times as many others: all classes equally likely."""
        return 4 * math.log(len(dataset.class_names) + 1)

    def describe(self, dataset: DetectionDataset, part: Part) -> str:
        """With a digest of the annotations."""
        truth = dataset.split(part).truth()
        digest = hashlib.sha256(json.dumps(truth["annotations"], sort_keys=True).encode()).hexdigest()[:12]
        boxes, images = len(truth["annotations"]), len(truth["images"])
        return f"{dataset.name} at {dataset.resolution} px, {images} images with {boxes} boxes {digest}"


def activation_of(recipe: Recipe) -> Activation:
    """What turns a detector's class outputs into scores, by the loss that it was trained with."""
    return "softmax" if recipe.detection_loss == "softmax" else "sigmoid"


def detect(module: nn.Module, dataset: DetectionDataset, part: Part, activation: Activation) -> list[Detections]:
    """What a detector finds on each image of a split, in order. The module leaves as it came.

    Raises:
        TrainingError: an output is not finite.
    """
    device = next(iter(module.parameters())).device
    boxes = default_boxes(module.architecture).to(device)  # type: ignore[arg-type]
    normalize, was_training = Normalize(dataset, device), module.training
    module.eval()
    found: list[Detections] = []
    try:
        with torch.inference_mode():
            for pixels, _ in dataset.split(part).batches(_BATCH):
                outputs = module(normalize(pixels.to(device)))
                if not bool(torch.isfinite(outputs).all()):
                    raise TrainingError("the trained detector's outputs are not finite: its training diverged")
                found += detections_of(outputs, boxes, activation=activation)
    finally:
        module.train(was_training)
    return found


def scored(
    module: nn.Module, dataset: DetectionDataset, part: Part, activation: Activation, resamples: int = 200
) -> tuple[DetectionScores, list[dict[str, Any]]]:
    """A detector's scores on a split, and what it found there as COCO's result files have it.

    `resamples` are those of AP's interval (`detection_scores`).

    Raises:
        TrainingError: an output is not finite.
    """
    images, found = dataset.split(part), detect(module, dataset, part, activation)
    truth = images.truth()
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    categories = [category["id"] for category in truth["categories"]]
    results = coco_results(images.image_ids, [sizes[name] for name in images.image_ids], found, categories)
    return detection_scores(truth, results, resamples=resamples), results


@dataclass(frozen=True, eq=False)
class BoxMirror:
    """Mirrors images by chance, and their boxes with them."""

    moves: RandomMoves
    normalize: Normalize

    def draw(self, count: int, generator: torch.Generator) -> Moves:
        """Which ones."""
        return self.moves.draw(count, generator)

    def apply(self, pixels: Tensor, boxes: Tensor, moves: Moves) -> tuple[Tensor, Tensor]:
        """uint8 pixels (n, ...) and boxes (n, most, 5) -> float images, boxes."""
        images = self.moves.apply(self.normalize(pixels), moves)
        if moves.is_mirrored is None:
            return images, boxes
        x1, y1, x2, y2, classes = boxes.unbind(2)
        mirrored = torch.stack([1 - x2, y1, 1 - x1, y2, classes], 2)
        return images, torch.where(moves.is_mirrored[: len(boxes), :, None].to(boxes.device), mirrored, boxes)
