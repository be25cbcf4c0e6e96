"""ConvNorm: convolution, batch norm and, where there is one, activation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mnas.models._conv import Conv2d
from mnas.space import Activation, Architecture


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, activation (None: linear)."""

    def __init__(
        self,
        architecture: Architecture,
        in_filters: int,
        filters: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = Conv2d(in_filters, filters, kernel, stride, groups, architecture.padding)
        self.norm = nn.BatchNorm2d(filters, eps=architecture.bn_eps, momentum=architecture.bn_momentum)
        self.activation: Activation | None = None if linear else architecture.activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in_filters, height, width) -> (batch, filters, ceil(height / stride), ceil(width / stride))."""
        x = self.norm(self.conv(x))
        # In place is safe: batch norm's gradient needs its input, not its output.
        if self.activation == "relu":
            return F.relu_(x)
        if self.activation == "relu6":
            return F.hardtanh_(x, 0.0, 6.0)
        return x


def head_conv(architecture: Architecture) -> ConvNorm | nn.Identity:
    """The head's 1x1 convolution; what changes nothing where it has none."""
    filters = architecture.head.filters
    return ConvNorm(architecture, architecture.layers[-1].filters, filters) if filters else nn.Identity()
