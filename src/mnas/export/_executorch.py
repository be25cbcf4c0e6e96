"""ExecuTorch files (.pte) for its XNNPACK kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mnas.errors import ExportError
from mnas.export._decoded_detector import Convertible
from mnas.export._onnx import Array
from mnas.export._pt2e import example, exported, named_failures, quantized, suited

_WEIGHTED = ("convolution", "linear", "addmm", "mm")


def executorch_model(network: Convertible, calibration: Sequence[Array] | None = None) -> bytes:
    """A .pte file's bytes: fp32, or int8 by what tensors are on the calibration's inputs.

    The network is in evaluation mode; the inputs are as those of `onnx_int8_model`. Input and output are float32.

    Raises:
        ExportError: XNNPACK does not take a layer, or not in this precision.
    """
    with named_failures("executorch"):
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from executorch.exir import to_edge_transform_and_lower

        program = exported(network)
        if calibration is not None:
            quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
            module = quantized(program, suited(quantizer, network), calibration, fold=True)
            program = torch.export.export(module, example(network))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        _check(lowered.exported_program(), calibration is not None)
        return bytes(lowered.to_executorch().buffer)


def _check(program: Any, is_int8: bool) -> None:
    """Refuse layers outside of XNNPACK, and unquantized ones where int8 is asked for."""
    left = [node for node in program.graph.nodes if _is_weighted(node)]
    if left:
        raise ExportError(f"XNNPACK does not take {_name(left[0])}: it would run on a kernel that is no measure")
    if not is_int8:
        return
    for _, part in program.graph_module.named_children():
        for node in part.original_module.graph.nodes:
            if _is_weighted(node) and not all("dequantize" in str(source.target) for source in _sources(node)):
                raise ExportError(f"int8 was asked for, but XNNPACK computes {_name(node)} in fp32")


def _is_weighted(node: Any) -> bool:
    return node.op == "call_function" and _name(node).split(".")[-2:-1] in [[name] for name in _WEIGHTED]


def _name(node: Any) -> str:
    """As "aten.convolution.default"."""
    return str(getattr(node.target, "__name__", node.target))


def _sources(node: Any) -> list[Any]:
    """Where a layer's input and weight come from, behind transpositions."""
    sources = []
    for source in [arg for arg in node.args if hasattr(arg, "target")][:3]:
        while any(word in str(source.target) for word in ("permute", "t_copy", "view")):
            source = source.args[0]
        sources.append(source)
    return [source for source in sources if source.op == "call_function"] or sources
