"""LayerModule: one layer of an architecture, with its skip."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from mnas.models._conv import pad_same
from mnas.models._conv_norm import ConvNorm
from mnas.models._squeeze_excite import SqueezeExcite
from mnas.space import Architecture, Layer

POOL_KERNEL = 3  # of the pooling skip


class LayerModule(nn.Module):
    """One layer: its operation, and what its skip adds to the result.

    conv: kxk convolution, batch norm, activation, SE. sepconv: kxk depthwise, SE, 1x1 linear. sepconv_act: the same
    with an activation at its end. mbconv: 1x1 expansion, kxk depthwise, SE, 1x1 linear. The paper gives neither SE in
    a plain convolution nor the pooling skip: the first scales the convolution's output here, the second is a 3x3
    maximum of the layer's input with the layer's stride.
    """

    def __init__(self, architecture: Architecture, layer: Layer) -> None:
        super().__init__()
        hidden, kernel, stride = layer.hidden_filters, layer.kernel, layer.stride
        self.layer = layer
        self.padding = architecture.padding
        steps: dict[str, nn.Module] = {}
        if layer.op == "conv":
            steps["conv"] = ConvNorm(architecture, layer.in_filters, hidden, kernel, stride)
        else:
            if layer.op == "mbconv":
                steps["expand"] = ConvNorm(architecture, layer.in_filters, hidden)
            steps["depthwise"] = ConvNorm(architecture, hidden, hidden, kernel, stride, groups=hidden)
        if layer.se_filters:
            steps["se"] = SqueezeExcite(hidden, layer.se_filters)
        if layer.op != "conv":
            steps["project"] = ConvNorm(architecture, hidden, layer.filters, linear=layer.op != "sepconv_act")
        self.body = nn.Sequential(OrderedDict(steps))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in_filters, height, width) -> (batch, filters, ceil(height / stride), ceil(width / stride))."""
        return self.with_skip(self.body(x), x)

    def with_skip(self, out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The operation's output and what the skip adds to it of the layer's input `x`."""
        if self.layer.skip == "identity":
            return out + x
        if self.layer.skip == "pool":
            return out + self._pooled(x)
        return out

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        stride = self.layer.stride
        if self.padding == "same" and stride > 1:
            return F.max_pool2d(pad_same(x, POOL_KERNEL, stride, float("-inf")), POOL_KERNEL, stride)
        return F.max_pool2d(x, POOL_KERNEL, stride, padding=POOL_KERNEL // 2)
