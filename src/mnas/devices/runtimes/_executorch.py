"""ExecuTorch on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnas.devices.runtimes._contract import INT8_TOLERANCE, Array, Precision, Session
from mnas.errors import MeasurementError

if TYPE_CHECKING:
    from mnas.models import Network

_WEIGHTED = ("convolution", "linear", "addmm", "mm")


class ExecuTorchRuntime:
    """ExecuTorch with its XNNPACK kernels. The timing process imports torch: ExecuTorch's Python bindings need it.

    What XNNPACK does not take would run on kernels that are made to be correct, hundreds of times slower, so every
    convolution and fully connected layer has to be among what it takes.
    """

    name = "executorch"
    package = "executorch"
    converters: tuple[str, ...] = ("executorch", "torchao", "torch")
    extra: str | None = "executorch"
    converts_apart = True

    def __init__(self, precision: Precision = "fp32") -> None:
        self.precision = precision
        self.tolerance = {"fp32": 1e-4, "int8": INT8_TOLERANCE}[precision]

    def convert(self, network: Network) -> bytes:
        """A .pte file's bytes.

        Raises:
            MeasurementError: XNNPACK does not take a layer, or not in this precision.
        """
        from mnas.devices.runtimes._pt2e import example, exported, named_failures, quantized

        with named_failures(self.name):
            import torch
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
                XNNPACKQuantizer,
                get_symmetric_quantization_config,
            )
            from executorch.exir import to_edge_transform_and_lower

            program = exported(network)
            if self.precision == "int8":
                quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
                module = quantized(network, program, quantizer, fold=True)
                program = torch.export.export(module, example(network))
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            _check(lowered.exported_program(), self.precision)
            return bytes(lowered.to_executorch().buffer)

    def version(self) -> str:
        """ExecuTorch's."""
        from importlib.metadata import version

        import executorch.runtime  # noqa: F401 - what is missing is to be noticed here

        return version("executorch")

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """A method with its input set."""
        import torch
        from executorch.extension.pybindings._C import _unsafe_reset_threadpool
        from executorch.runtime import Runtime

        _unsafe_reset_threadpool(threads)  # before anything runs, which is what is unsafe about it
        program = Runtime.get().load_program(model)
        return _ExecuTorchSession(program, torch.from_numpy(images))


def _check(program: Any, precision: Precision) -> None:
    """Refuse layers outside of XNNPACK, and unquantized ones where int8 is asked for."""
    left = [node for node in program.graph.nodes if _is_weighted(node)]
    if left:
        raise MeasurementError(f"XNNPACK does not take {_name(left[0])}: it would run on a kernel that is no measure")
    if precision == "fp32":
        return
    for _, part in program.graph_module.named_children():
        for node in part.original_module.graph.nodes:
            if _is_weighted(node) and not all("dequantize" in str(source.target) for source in _sources(node)):
                raise MeasurementError(f"int8 was asked for, but XNNPACK computes {_name(node)} in fp32")


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


class _ExecuTorchSession:
    def __init__(self, program: Any, images: Any) -> None:
        self._program, self._images = program, images  # the method borrows their memory
        self._method = program.load_method("forward")._method
        self._method.set_inputs([images])
        self.run = self._method.execute

    def output(self) -> Array:
        output: Array = self._method.get_outputs()[0].numpy()
        return output
