"""Network: the torch module of an architecture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mnas.errors import SettingsError
from mnas.models._conv_norm import ConvNorm, head_conv
from mnas.models._initialise import initialise
from mnas.models._layer_module import LayerModule
from mnas.models._squeeze_excite import Linear
from mnas.space import Architecture


class Network(nn.Module):
    """Stem, layers, head, global mean, dropout, classifier. Build it with `build_model`, which fills the weights."""

    def __init__(self, architecture: Architecture, dropout: float) -> None:
        super().__init__()
        stem, head = architecture.stem, architecture.head
        self.architecture = architecture
        self.dropout = dropout
        self.stem = ConvNorm(architecture, architecture.input_channels, stem.filters, stem.kernel, stem.stride)
        self.layers = nn.Sequential(*(LayerModule(architecture, layer) for layer in architecture.layers))
        self.head = head_conv(architecture)
        self.classifier = Linear(architecture.features, head.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (batch, channels, height, width) -> logits (batch, classes). Any height and width will do."""
        features = self.head(self.layers(self.stem(images))).mean((2, 3))
        if self.dropout and self.training:
            features = F.dropout(features, self.dropout)
        return self.classifier(features)  # type: ignore[no-any-return]


def build_model(architecture: Architecture, *, dropout: float = 0.0, seed: int | None = None) -> Network:
    """The module of an architecture, in training mode, with the official initialisation.

    The same seed gives the same weights; None gives fresh ones. Neither reads nor moves torch's global
    generator. `dropout` acts before the classifier, while training.

    >>> network = build_model(Architecture.parse("ds_r1_k3_s1_c16 ir_r2_k3_s2_e6_c24"), seed=0)
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 1000])

    Raises:
        SettingsError: dropout is not from 0 to below 1, or the architecture is a detector's.
    """
    if architecture.is_detector:
        raise SettingsError(
            f"build_model makes classifiers, and the architecture ends in {architecture.head}: "
            "build it with build_detector"
        )
    if not 0 <= dropout < 1:
        raise SettingsError(f"dropout should be from 0 to below 1, got {dropout}")
    network = Network(architecture, dropout)
    initialise(network, seed, network.classifier)
    return network
