"""Loss: how far answers are from labels and, with a teacher, from the teacher's answers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mnas.datasets import Images
from mnas.training._recipe import Recipe


class Loss:
    """Cross entropy; with several labels per image the mean of their binary cross entropies.

    The teacher's part is the divergence of the answers, both divided by the temperature and softened, times the
    temperature's square (Hinton et al. 2015).
    """

    def __init__(self, recipe: Recipe, images: Images, classes: int, device: torch.device) -> None:
        self._recipe = recipe
        self._is_multilabel = images.labels.ndim == 2
        self._weights = None
        if recipe.class_weights == "balanced":
            self._weights = _balanced(images.labels, classes).to(device)

    def __call__(self, logits: Tensor, targets: Tensor, teacher: Tensor | None) -> Tensor:
        """The mean over a batch. Targets: class indices (n,), or numbers from 0 to 1 (n, classes)."""
        if teacher is None:
            return self._of_labels(logits, targets)
        share = self._recipe.distillation
        return (1 - share) * self._of_labels(logits, targets) + share * self._of_teacher(logits, teacher)

    def _of_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        smoothing = self._recipe.label_smoothing
        if self._is_multilabel:
            smooth = targets.to(logits.dtype) * (1 - smoothing) + smoothing / 2
            return F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=self._weights)
        return F.cross_entropy(logits, targets, self._weights, label_smoothing=smoothing)

    def _of_teacher(self, logits: Tensor, teacher: Tensor) -> Tensor:
        heat = self._recipe.temperature
        if self._is_multilabel:
            loss = F.binary_cross_entropy_with_logits(logits / heat, torch.sigmoid(teacher / heat))
        else:
            log, other = F.log_softmax(logits / heat, 1), F.log_softmax(teacher / heat, 1)
            loss = F.kl_div(log, other, reduction="batchmean", log_target=True)
        return loss * heat**2


def _balanced(labels: Tensor, classes: int) -> Tensor:
    """Weights by which all classes count alike; of several labels: "there" as much as "not there"."""
    if labels.ndim == 2:
        there = labels.to(torch.float32).sum(0)
        return (len(labels) - there).clamp(min=1) / there.clamp(min=1)
    counts = torch.bincount(labels, minlength=classes).to(torch.float32)
    return len(labels) / (classes * counts.clamp(min=1))
