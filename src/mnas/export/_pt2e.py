"""What the converters that start from torch's export share: the graph, its quantization, their errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from mnas.errors import ExportError
from mnas.export._decoded_detector import Convertible, DecodedDetector
from mnas.export._onnx import Array


def example(network: Convertible) -> tuple[torch.Tensor]:
    """An input of the network's shape."""
    a = network.architecture
    return (torch.zeros(1, a.input_channels, a.resolution, a.resolution),)


def exported(network: Convertible) -> torch.export.ExportedProgram:
    """The network's graph, with global means that keep their two dimensions of one.

    Mobile runtimes have a kernel for such a mean only, and would fall back to a slow one for the other.
    """
    with torch.no_grad():
        module = torch.export.export(network, example(network)).module()
        mean = torch.ops.aten.mean.dim
        for node in [node for node in module.graph.nodes if node.target is mean]:
            x, dims = node.args[0], node.args[1]
            with module.graph.inserting_before(node):
                kept = module.graph.call_function(mean, (x, list(dims), True))
                flat = module.graph.call_function(torch.ops.aten.flatten.using_ints, (kept, 1))
            node.replace_all_uses_with(flat)
            module.graph.erase_node(node)
        module.recompile()
        return torch.export.export(module, example(network))


def quantized(
    program: torch.export.ExportedProgram, quantizer: Any, calibration: Sequence[Array], fold: bool
) -> torch.nn.Module:
    """The exported network with int8 weights and activations, by what tensors are on the calibration's inputs."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(_with_named_joins(program.module()), quantizer)
    with torch.no_grad():
        for images in calibration:
            prepared(torch.from_numpy(images))
    converted: torch.nn.Module = convert_pt2e(prepared, fold_quantize=fold)
    return converted


def _with_named_joins(module: Any) -> Any:
    """Says of concatenations where they come from, by which quantizers know them; an export of an export loses it.

    LiteRT's converter takes what is joined unquantized to have the scale of the first part: a detector's outputs were
    off by two thirds of their size.
    """
    for node in module.graph.nodes:
        if node.target is torch.ops.aten.cat.default:
            node.meta["source_fn_stack"] = [(node.name, torch.cat)]
    return module


def suited(quantizer: Any, network: Convertible) -> Any:
    """The quantizer, or for a `DecodedDetector` one that leaves in float what is made of its predictions.

    In int8 a box would have the precision of the largest number on the way to it: its side before it is clipped.
    """
    return _FloatDecoding(quantizer) if isinstance(network, DecodedDetector) else quantizer


class _FloatDecoding:
    """Another quantizer, but for what comes after the two joins, of the encodings and of the logits."""

    def __init__(self, quantizer: Any) -> None:
        self._quantizer = quantizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._quantizer, name)

    def annotate(self, model: Any) -> Any:
        """What the other one annotates; then the end of the graph is no longer asked for in int8."""
        model = self._quantizer.annotate(model)
        joins: set[Any] = set()
        after: set[Any] = set()
        for node in model.graph.nodes:
            if any(source in joins or source in after for source in node.all_input_nodes):
                after.add(node)
                node.meta.pop("quantization_annotation", None)
            elif node.target is torch.ops.aten.cat.default:
                joins.add(node)
        return model


@contextmanager
def named_failures(runtime: str) -> Iterator[None]:
    """Turns whatever a converter raises into an ExportError with the converter's first words."""
    try:
        yield
    except ExportError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise ExportError(f"runtime {runtime!r} cannot convert it: {type(error).__name__}: {words}") from error
