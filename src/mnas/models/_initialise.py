"""The official initialisation (tensorflow/tpu, mnasnet_model.py), from a generator of its own."""

from __future__ import annotations

import math

import torch
from torch import nn

from mnas.models._conv import BiasedConv2d

_PREDICTOR_DEVIATION = 0.03  # as in the public configuration of SSDLite with MobileNetV2


@torch.no_grad()
def initialise(network: nn.Module, seed: int | None, classifier: nn.Linear | None = None) -> None:
    """Fill every weight: the same seed gives the same weights, and torch's global generator is left alone.

    Convolutions N(0, sqrt(2 / (k x k x outputs))), depthwise ones N(0, sqrt(2 / (k x k))); the classifier
    U(-1 / sqrt(classes), 1 / sqrt(classes)); a detector's predictors N(0, 0.03); biases zero. Batch norm is as torch
    made it: scale one, shift zero.
    """
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, BiasedConv2d):
            module.weight.normal_(0.0, _PREDICTOR_DEVIATION, generator=generator)
            assert module.bias is not None
            module.bias.zero_()
        elif isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            module.weight.normal_(0.0, math.sqrt(2 / fan_out), generator=generator)
        elif isinstance(module, nn.Linear):
            _fill_linear(module, module is classifier, generator)


def _fill_linear(module: nn.Linear, is_classifier: bool, generator: torch.Generator) -> None:
    if is_classifier:
        bound = 1 / math.sqrt(module.out_features)
        module.weight.uniform_(-bound, bound, generator=generator)
    else:  # squeeze and excitation: 1x1 convolutions in the official code
        module.weight.normal_(0.0, math.sqrt(2 / module.out_features), generator=generator)
    module.bias.zero_()
