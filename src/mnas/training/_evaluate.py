"""The accuracy of a module on the images of a split."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnas.datasets import Dataset, DatasetFacts, Part
from mnas.errors import TrainingError
from mnas.training._processes import Processes

_BATCH = 256


def evaluate(
    model: nn.Module, dataset: Dataset, part: Part, *, batch: int = _BATCH, processes: Processes | None = None
) -> float:
    """The share of a split's images that the module names right. The module leaves as it came.

    Of images with several labels each: the F1 of all labels together, where a label is said to be there from a
    probability of 0.5 on. Several processes share the images out and have the same answer.

    Raises:
        TrainingError: an output is not finite.
    """
    processes = processes or Processes(is_distributed=False, on_gpu=False)
    device = next(iter(model.parameters())).device
    was_training = model.training
    model.eval()
    normalize = Normalize(dataset, device)
    images = dataset.split(part)
    counts = [0, 0]  # right ones, all
    try:
        with torch.inference_mode():
            for pixels, labels in images.batches(batch, None, processes.rank, processes.count):
                logits = model(normalize(pixels.to(device)))
                if not bool(torch.isfinite(logits).all()):
                    raise TrainingError("the trained network's outputs are not finite: its training diverged")
                counts = [sum(pair) for pair in zip(counts, _counted(logits, labels.to(device)), strict=True)]
    finally:
        model.train(was_training)
    total = torch.tensor(counts, dtype=torch.int64, device=device)
    processes.sum_(total)
    right, everything = total.tolist()
    return right / everything if everything else 1.0


def _counted(logits: Tensor, labels: Tensor) -> tuple[int, int]:
    """How many are right, of how many; of several labels per image the two halves of F1."""
    if labels.ndim == 1:
        return int((logits.argmax(1) == labels).sum()), len(labels)
    said, there = logits >= 0, labels > 0
    return 2 * int((said & there).sum()), int(said.sum()) + int(there.sum())


class Normalize:
    """uint8 pixels (n, channels, height, width) -> floats: (pixel / 255 - mean) / std, channels last."""

    def __init__(self, dataset: DatasetFacts, device: torch.device) -> None:
        std = torch.tensor(dataset.std)
        self._scale = (1 / (255 * std)).view(1, -1, 1, 1).to(device)
        self._offset = (-torch.tensor(dataset.mean) / std).view(1, -1, 1, 1).to(device)

    def __call__(self, pixels: Tensor) -> Tensor:
        floats = pixels.to(torch.float32, memory_format=torch.channels_last)
        return torch.addcmul(self._offset, floats, self._scale)
