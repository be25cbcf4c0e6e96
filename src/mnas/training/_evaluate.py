"""The accuracy of a module on the images of a split."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnas.datasets import Dataset, Part
from mnas.errors import TrainingError

_BATCH = 256


def evaluate(model: nn.Module, dataset: Dataset, part: Part, *, batch: int = _BATCH) -> float:
    """The share of a split's images that the module names right. The module leaves as it came.

    Raises:
        TrainingError: an output is not finite.
    """
    was_training = model.training
    model.eval()
    normalize = Normalize(dataset)
    right = seen = 0
    try:
        with torch.inference_mode():
            for pixels, labels in dataset.split(part).batches(batch):
                logits = model(normalize(pixels))
                if not bool(torch.isfinite(logits).all()):
                    raise TrainingError("the trained network's outputs are not finite: its training diverged")
                right += int((logits.argmax(1) == labels).sum())
                seen += len(labels)
    finally:
        model.train(was_training)
    return right / seen


class Normalize:
    """uint8 pixels (n, channels, height, width) -> floats: (pixel / 255 - mean) / std, channels last."""

    def __init__(self, dataset: Dataset) -> None:
        std = torch.tensor(dataset.std)
        self._scale = (1 / (255 * std)).view(1, -1, 1, 1)
        self._offset = (-torch.tensor(dataset.mean) / std).view(1, -1, 1, 1)

    def __call__(self, pixels: Tensor) -> Tensor:
        floats = pixels.to(torch.float32, memory_format=torch.channels_last)
        return torch.addcmul(self._offset, floats, self._scale)
