"""A depthwise convolution with a quicker gradient on CPUs.

oneDNN's quick kernel for the weight gradient of a depthwise convolution takes up to three columns of weights.
5x5 ones fall to a path that treats every channel as a whole convolution: it took a tenth of the training time
of small networks. The columns of a weight do not depend on each other, so a wide gradient is put together
from narrow ones (docs/models.md has the table).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

_COLUMNS = 3  # the widest weight that the quick kernel takes
_ENOUGH = 100_000  # numbers in the input, below which Python's overhead eats the gain


def is_worthwhile(x: torch.Tensor, kernel: int) -> bool:
    """Whether `depthwise_conv` gains on this input."""
    if kernel <= _COLUMNS or x.numel() < _ENOUGH or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    # Compilers want to see through the convolution; autocast changes its type in between.
    return not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu")


def depthwise_conv(x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    """What `F.conv2d` gives for (batch, channels, height, width) and a weight (channels, 1, kernel, kernel)."""
    return _DepthwiseConv.apply(x, weight, stride, padding)  # type: ignore[no-any-return, no-untyped-call]


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_input = _input_gradient(grad, x, weight, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        of_weight = _weight_gradient(grad, x, weight, ctx.stride, ctx.padding) if ctx.needs_input_grad[1] else None
        return of_input, of_weight, None, None


def _input_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    if stride == 1 and 2 * padding == weight.shape[-1] - 1:
        # The gradient is then itself such a convolution, and the forward kernel is the quicker one.
        return F.conv2d(grad, weight.flip(2, 3), None, 1, padding, groups=len(weight))
    return _gradients(grad, x, weight, stride, padding, (True, False))[0]


def _weight_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    # Padded here and not in the kernel, which takes no padding as wide as the parts of the weight.
    padded = F.pad(x, (padding,) * 4) if padding else x
    kernel, outputs = weight.shape[-1], grad.shape[-1]
    parts = []
    for first in range(0, kernel, _COLUMNS):
        columns = weight[..., first : first + _COLUMNS]
        width = (outputs - 1) * stride + columns.shape[-1]
        seen = padded[..., first : first + width]
        parts.append(_gradients(grad, seen, columns, stride, 0, (False, True))[1])
    return torch.cat(parts, 3)


def _gradients(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int, wanted: tuple[bool, bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        grad, x, weight, None, (stride,) * 2, (padding,) * 2, (1, 1), False, (0, 0), len(weight), (*wanted, False)
    )[:2]
