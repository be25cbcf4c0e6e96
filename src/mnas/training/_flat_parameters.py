"""FlatParameters: a module's weights as one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_NORMS = (nn.modules.batchnorm._BatchNorm,)


class FlatParameters:
    """Lays a module's parameters and batch-norm statistics end to end and makes the module's own views of them.

    A small network has some 150 parameter tensors of a few hundred numbers each. An optimizer step, an
    average or a copy over them is then 150 calls of a microsecond's work each; over one vector it is one.
    Kernels of convolutions are laid down with channels last, the order their convolutions want.

        flat = FlatParameters(module)
        gradients = torch.autograd.grad(loss, flat.parameters)
        flat.set_gradients(flat.line(gradients))        # flat.decayed.grad and flat.plain.grad
        flat.release()                       # the module has tensors of its own again
    """

    def __init__(self, module: nn.Module) -> None:
        norms = [child for child in module.modules() if isinstance(child, _NORMS)]
        of_norms = {id(weight) for norm in norms for weight in norm.parameters(recurse=False)}
        everyone = [weight for weight in module.parameters() if weight.requires_grad]
        decayed = [weight for weight in everyone if id(weight) not in of_norms]
        plain = [weight for weight in everyone if id(weight) in of_norms]
        self.parameters = decayed + plain
        self._buffers = [
            buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None
        ]
        self._boundary = sum(weight.numel() for weight in decayed)
        # One vector for all: weights with decay, weights without, statistics.
        self.vector = torch.cat([_line(tensor.detach()) for tensor in [*self.parameters, *self._buffers]])
        self._trained = sum(weight.numel() for weight in self.parameters)
        self.decayed = self.vector[: self._boundary]
        self.plain = self.vector[self._boundary : self._trained]
        self.statistics = self.vector[self._trained :]
        self._point_into(self.vector)

    def line(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Gradients of `parameters`, in their order, end to end."""
        return torch.cat([_line(gradient) for gradient in gradients])

    def set_gradients(self, line: Tensor) -> None:
        """The gradients of `decayed` and `plain`, as views of the line."""
        self.decayed.grad, self.plain.grad = line[: self._boundary], line[self._boundary :]

    def release(self) -> None:
        """Give every parameter and statistic of the module a tensor of its own, in torch's usual order."""
        for tensor in [*self.parameters, *self._buffers]:
            tensor.data = tensor.detach().clone(memory_format=torch.contiguous_format)

    def _point_into(self, vector: Tensor) -> None:
        start = 0
        for tensor in [*self.parameters, *self._buffers]:
            tensor.data = _shaped(vector[start : start + tensor.numel()], tensor.shape)
            start += tensor.numel()


def _line(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 2, 3, 1).reshape(-1) if tensor.ndim == 4 else tensor.reshape(-1)


def _shaped(line: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) != 4:
        return line.view(shape)
    outputs, inputs, height, width = shape
    return line.view(outputs, height, width, inputs).permute(0, 3, 1, 2)
