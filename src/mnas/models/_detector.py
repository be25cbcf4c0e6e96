"""Detector: the torch module of an architecture with a DetectionHead."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Generator, Iterator

import torch
from torch import nn

from mnas.errors import SettingsError
from mnas.models._conv import BiasedConv2d
from mnas.models._conv_norm import ConvNorm, head_conv
from mnas.models._initialise import initialise
from mnas.models._layer_module import LayerModule
from mnas.space import Architecture, DetectionHead, FeatureMap, feature_maps, tapped_layer


class Detector(nn.Module):
    """Stem, layers, head and extra layers, and on six of their maps the predictors. Build it with `build_detector`.

    Names of stem, layers and head are those of a `Network`, whose weights it can begin with.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        stem, maps = architecture.stem, feature_maps(architecture)
        self.architecture = architecture
        self.tap = tapped_layer(architecture)
        self.stem = ConvNorm(architecture, architecture.input_channels, stem.filters, stem.kernel, stem.stride)
        self.layers = nn.Sequential(*(LayerModule(architecture, layer) for layer in architecture.layers))
        self.head = head_conv(architecture)
        pairs = itertools.pairwise(maps[1:])
        self.extras = nn.ModuleList(_extra(architecture, before.filters, after.filters) for before, after in pairs)
        self.predictors = nn.ModuleList(Predictor(architecture, found) for found in maps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (batch, channels, resolution, resolution) -> (batch, default boxes, 4 + 1 + classes).

        For each default box (`default_boxes`): where the object is, in the box's own units (`decode_boxes`), then the
        logits of background and of each class.
        """
        return torch.cat(self.predictions(images), 2)

    def predictions(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The two parts of the output: (batch, default boxes, 4) and (batch, default boxes, 1 + classes)."""
        predicted = [predict(found) for predict, found in zip(self.predictors, self.maps(images), strict=True)]
        boxes, logits = (torch.cat(parts, 1) for parts in zip(*predicted, strict=True))
        return boxes, logits

    def maps(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        """The maps that boxes are predicted on, one after the other as they are made."""
        x = self.stem(images)
        for index, layer in enumerate(self.layers):
            if index == self.tap:
                x = yield from _tapped(layer, x)  # type: ignore[arg-type]
            else:
                x = layer(x)
        x = self.head(x)
        yield x
        for extra in self.extras:
            x = extra(x)
            yield x


def _tapped(layer: LayerModule, x: torch.Tensor) -> Generator[torch.Tensor, None, torch.Tensor]:
    """The first map, and then what the layer with it gives."""
    steps = list(layer.body)
    out = steps.pop(0)(x) if layer.layer.op == "mbconv" else x
    yield out
    for step in steps:
        out = step(out)
    return layer.with_skip(out, x)


def _extra(architecture: Architecture, in_filters: int, filters: int) -> nn.Sequential:
    half = filters // 2
    steps = {
        "reduce": ConvNorm(architecture, in_filters, half),
        "depthwise": ConvNorm(architecture, half, half, 3, 2, groups=half),
        "project": ConvNorm(architecture, half, filters),
    }
    return nn.Sequential(OrderedDict(steps))


class Predictor(nn.Module):
    """What is said of one map's default boxes, boxes and classes each by a depthwise and a 1x1 convolution."""

    def __init__(self, architecture: Architecture, found: FeatureMap) -> None:
        super().__init__()
        head = architecture.head
        assert isinstance(head, DetectionHead)
        self.boxes = _Convs(architecture, found, 4)
        self.classes = _Convs(architecture, found, head.values - 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, filters, height, width) -> (batch, boxes, 4) and (batch, boxes, 1 + classes), row by row."""
        return self.boxes(x), self.classes(x)


class _Convs(nn.Module):
    def __init__(self, architecture: Architecture, found: FeatureMap, values: int) -> None:
        super().__init__()
        self.values = values
        self.depthwise = ConvNorm(architecture, found.filters, found.filters, 3, groups=found.filters)
        self.project = BiasedConv2d(found.filters, found.boxes * values)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.project(self.depthwise(x))
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.values)


def build_detector(architecture: Architecture, *, seed: int | None = None) -> Detector:
    """The module of an architecture with a DetectionHead, in training mode, with fresh weights.

    Backbone and depthwise convolutions as in `build_model`; the predictors' 1x1 convolutions N(0, 0.03) as in the
    public configuration. The same seed gives the same weights; torch's global generator is left alone.

    >>> detector = build_detector(Architecture.parse("input_r64_c3 ir_r2_k3_s2_e6_c24 ssdlite_c64_n3_w0.25"), seed=0)
    >>> detector(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 5118, 8])

    Raises:
        SettingsError: the architecture's head is a classifier's.
    """
    if not architecture.is_detector:
        raise SettingsError(
            f"a detector needs a detection head, such as {DetectionHead()}; the architecture ends in "
            f"{architecture.head}. Build it with build_model, or replace its head"
        )
    detector = Detector(architecture)
    initialise(detector, seed)
    return detector
