"""Heads: what stands behind an architecture's last block."""

from __future__ import annotations

from dataclasses import dataclass

# Liu et al. 2016 and the public ssdlite_mobilenet_v2_coco.config (tensorflow/models, research/object_detection).
_EXTRA_FILTERS = (512, 256, 256, 128)
_LEAST_FILTERS = 16


@dataclass(frozen=True)
class Head:
    """1x1 convolution to `filters` (0: none), global average pooling, fully connected layer to `classes`."""

    filters: int = 1280
    classes: int = 1000

    def __str__(self) -> str:
        return f"head_c{self.filters}_n{self.classes}"


@dataclass(frozen=True)
class DetectionHead:
    """SSDLite: 1x1 convolution to `filters` (0: none), four extra layers, boxes and classes predicted on six maps.

    An extra layer is a 1x1 convolution to half its filters, a 3x3 depthwise one of stride 2 and a 1x1 one. A
    predictor is a 3x3 depthwise convolution and a 1x1 one with bias; each map has one for boxes and one for classes
    (Sandler et al. 2018, section 6.2). `width` multiplies the extra layers' filters, as the public code does.

    >>> str(DetectionHead(classes=3, width=0.5))
    'ssdlite_c1280_n3_w0.5'
    """

    filters: int = 1280
    classes: int = 90  # of objects; background is one more
    width: float = 1.0

    def __str__(self) -> str:
        width = "" if self.width == 1 else f"_w{self.width!r}".removesuffix(".0")
        return f"ssdlite_c{self.filters}_n{self.classes}{width}"

    @property
    def values(self) -> int:
        """Numbers that are predicted for each default box: four of its place, background, classes."""
        return 4 + 1 + self.classes

    @property
    def extra_filters(self) -> tuple[int, ...]:
        """Of the extra layers."""
        return tuple(max(int(filters * self.width), _LEAST_FILTERS) for filters in _EXTRA_FILTERS)
