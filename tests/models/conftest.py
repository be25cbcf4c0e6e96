"""What several tests of models use."""

import pytest
import torch
from torch import nn


@pytest.fixture
def randomize():
    """A function that gives every weight and every batch norm statistic of a module a random value."""

    @torch.no_grad()
    def randomize(module: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                for tensor, low, high in (
                    (part.weight, 0.5, 1.5),
                    (part.bias, -0.5, 0.5),
                    (part.running_mean, -0.5, 0.5),
                    (part.running_var, 0.5, 2.0),
                ):
                    tensor.uniform_(low, high, generator=generator)
        return module.eval()

    return randomize
