"""Mixup: images and their labels in mixtures of two."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Mixup:
    """Mixes a batch with itself in reverse order (Zhang et al. 2018), by one share from Beta(alpha, alpha)."""

    def __init__(self, alpha: float, classes: int) -> None:
        self._alpha, self._classes = alpha, classes

    def draw(self, generator: torch.Generator) -> float:
        """The share that stays of each image."""
        seed = int(torch.randint(2**62, (), generator=generator))
        return float(np.random.default_rng(seed).beta(self._alpha, self._alpha))

    def apply(self, images: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Mixed images and, for labels (n,) or (n, classes), each image's shares of the classes (n, classes)."""
        targets = F.one_hot(labels, self._classes) if labels.ndim == 1 else labels
        targets = targets.to(images.dtype)
        return images * share + images.flip(0) * (1 - share), targets * share + targets.flip(0) * (1 - share)
