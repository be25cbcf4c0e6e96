"""How many zeros stand before and after a line of pixels, for both flavours of padding."""

from __future__ import annotations

from mnas.space import Padding


def pads(padding: Padding, size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels added before and after a side of `size` pixels, for an odd kernel.

    "symmetric" adds kernel // 2 on both sides (torch's habit); "same" adds what TensorFlow's SAME adds, the
    odd pixel after. Both give ceil(size / stride) outputs, and both are equal at stride 1.

    >>> pads("symmetric", 224, kernel=3, stride=2), pads("same", 224, kernel=3, stride=2)
    ((1, 1), (0, 1))
    """
    if padding == "symmetric":
        return kernel // 2, kernel // 2
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
