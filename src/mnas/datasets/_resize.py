"""Resizing of images that lie in memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK = 4096  # images brought to float at a time


def resize(pixels: Tensor, resolution: int) -> Tensor:
    """uint8 (n, channels, height, width) -> uint8 (n, channels, resolution, resolution), bilinear, antialiased.

    Images that are not square are stretched: small data sets have square ones.
    """
    if pixels.shape[2:] == (resolution, resolution):
        return pixels
    resized = torch.empty((*pixels.shape[:2], resolution, resolution), dtype=torch.uint8)
    for source, target in zip(torch.split(pixels, _CHUNK), torch.split(resized, _CHUNK), strict=True):
        scaled = F.interpolate(source.float(), (resolution, resolution), mode="bilinear", antialias=True)
        target.copy_(scaled.round_().clamp_(0, 255))
    return resized
