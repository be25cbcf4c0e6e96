"""Conv2d: a convolution without bias, padded in one of the two flavours; and a plain 1x1 one with bias."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mnas.models._depthwise import depthwise_conv, is_worthwhile
from mnas.models._padding import pads
from mnas.space import Padding


class Conv2d(nn.Conv2d):
    """A convolution whose padding is "symmetric", or "same" and then worked out from the input it gets."""

    def __init__(
        self, in_filters: int, filters: int, kernel: int, stride: int, groups: int, padding: Padding
    ) -> None:
        # At stride 1 the two flavours are one, and the convolution can pad by itself.
        self.pads_by_input = padding == "same" and stride > 1 and kernel > 1
        own_padding = 0 if self.pads_by_input else kernel // 2
        super().__init__(in_filters, filters, kernel, stride, own_padding, groups=groups, bias=False)

    def reset_parameters(self) -> None:
        """Nothing: the network fills the weights, and torch's way would draw from the global generator first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in_filters, height, width) -> (batch, filters, ceil(height / stride), ceil(width / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if self.pads_by_input:
            x = pad_same(x, kernel, stride, 0.0)
        if self.training and self.groups > 1 and is_worthwhile(x, kernel):
            return depthwise_conv(x, self.weight, stride, int(self.padding[0]))
        return super().forward(x)


class BiasedConv2d(nn.Conv2d):
    """A 1x1 convolution with bias and without batch norm, whose weights the network fills."""

    def __init__(self, in_filters: int, filters: int) -> None:
        super().__init__(in_filters, filters, 1)

    def reset_parameters(self) -> None:
        """Nothing, as in Conv2d."""


def pad_same(x: torch.Tensor, kernel: int, stride: int, value: float) -> torch.Tensor:
    """The input with SAME's pixels around it."""
    top, bottom = pads("same", x.shape[-2], kernel, stride)
    left, right = pads("same", x.shape[-1], kernel, stride)
    return F.pad(x, (left, right, top, bottom), value=value)
