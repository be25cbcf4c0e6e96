"""Preprocessing: what is done with an image before a model sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnas.errors import SettingsError

if TYPE_CHECKING:
    from torch import Tensor

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True)
class Preprocessing:
    """From an image file to a model's input; exported files leave it to who runs them.

    The square in the centre whose side is `crop_share` of the shorter side (1.0 or .875, say), resized to
    `resolution` pixels by `interpolation`, with `channels` 1 (grey) or 3 (red, green, blue); then
    (pixel / 255 - mean) / std per channel. Detectors see the whole image instead, `is_stretched` to the square.

    Raises:
        SettingsError: a value is impossible, or the numbers of channels differ.
    """

    resolution: int
    channels: int
    mean: tuple[float, ...]  # on the scale from 0 to 1
    std: tuple[float, ...]  # likewise
    crop_share: float
    interpolation: str = "bilinear"
    is_stretched: bool = False

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise SettingsError(f"{name} should have {self.channels} numbers, one per channel; got {values}")
        if self.resolution < 1 or not 0 < self.crop_share <= 1 or not all(value > 0 for value in self.std):
            raise SettingsError(f"resolution, crop_share (at most 1) and std should be above zero, got {self}")
        if self.interpolation not in INTERPOLATIONS:
            raise SettingsError(f"interpolation should be one of {INTERPOLATIONS}, got {self.interpolation!r}")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preprocessing:
        """The inverse of `dataclasses.asdict`, from JSON too."""
        return cls(**{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])})

    def normalize(self, pixels: Tensor) -> Tensor:
        """uint8 pixels (n, channels, resolution, resolution) -> the model's input, float32 of the same shape.

        Raises:
            SettingsError: other pixels than these.
        """
        import torch

        shape = (self.channels, self.resolution, self.resolution)
        if pixels.dtype != torch.uint8 or tuple(pixels.shape[1:]) != shape:
            raise SettingsError(
                f"images should be uint8 of the shape (n, {', '.join(map(str, shape))}), "
                f"got {pixels.dtype} {tuple(pixels.shape)}"
            )
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (pixels.float() / 255 - mean) / std
