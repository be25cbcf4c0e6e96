"""SqueezeExcite: each channel scaled by what the whole image says about it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Linear(nn.Linear):
    """A fully connected layer whose weights the network fills from its own generator."""

    def reset_parameters(self) -> None:
        """Nothing: torch's own initialisation would draw from the global generator, only to be replaced."""


class SqueezeExcite(nn.Module):
    """Global mean, reduction with ReLU, expansion with sigmoid, product (Hu et al. 2018).

    The official code's 1x1 convolutions of a 1x1 image are fully connected layers here: the same numbers,
    without a convolution's overhead. The reduction is a ReLU whatever the network's activation.
    """

    def __init__(self, filters: int, squeeze: int) -> None:
        super().__init__()
        self.reduce = Linear(filters, squeeze)
        self.expand = Linear(squeeze, filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, filters, height, width) -> the same shape."""
        scale = F.relu_(self.reduce(x.mean((2, 3))))
        return x * torch.sigmoid(self.expand(scale))[:, :, None, None]
