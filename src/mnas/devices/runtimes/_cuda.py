"""An NVIDIA GPU, through torch and through ONNX Runtime.

Both record the network once as a CUDA graph and replay it, so that what is timed is the GPU's work and not Python
launching kernels one by one; TF32 is off, so that fp32 is fp32.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from mnas.devices.runtimes._contract import Array, Precision, Session
from mnas.devices.runtimes._onnxruntime import onnx_file
from mnas.devices.runtimes._torch import torch_file
from mnas.errors import SettingsError

if TYPE_CHECKING:
    from mnas.models import BuiltModel

_RUNS_BEFORE_CAPTURE = 3  # in which libraries choose their kernels


class TorchCudaRuntime:
    """The eager module as a CUDA graph, channels-last, fp32; a run is timed by CUDA events."""

    name = "torch-cuda"
    package = "torch"
    converters: tuple[str, ...] = ("torch",)
    extra: str | None = None
    converts_apart = False
    precision: Precision = "fp32"
    tolerance = 1e-4

    def convert(self, network: BuiltModel) -> bytes:
        """The pickled module."""
        return torch_file(network)

    def version(self) -> str:
        """Torch's, its CUDA's, and the GPU's name.

        Raises:
            SettingsError: torch finds no GPU.
        """
        import torch

        if not torch.cuda.is_available():
            raise SettingsError("runtime 'torch-cuda' needs an NVIDIA GPU and a torch built for it; torch finds none")
        return f"{torch.__version__} CUDA {torch.version.cuda} {torch.cuda.get_device_name()}"

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """The recorded graph; `threads` are the CPU's, which has nothing to do."""
        import torch

        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        module = torch.load(io.BytesIO(model), weights_only=False).eval()
        return _TorchCudaSession(module, torch.from_numpy(images))


class _TorchCudaSession:
    def __init__(self, module: Any, images: Any) -> None:
        import torch

        module = module.cuda().to(memory_format=torch.channels_last)
        images = images.cuda().to(memory_format=torch.channels_last)
        self._began, self._ended = (_event() for _ in range(2))
        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call] # recording wants the runs before it off the default stream
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(_RUNS_BEFORE_CAPTURE):
                module(images)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._output = module(images)
        self._images = images  # the graph reads its memory

    def feed(self, images: Array) -> None:
        import torch

        self._images.copy_(torch.from_numpy(images))

    def run(self) -> float:
        self._began.record()
        self._graph.replay()
        self._ended.record()
        self._ended.synchronize()
        return float(self._began.elapsed_time(self._ended))

    def output(self) -> Array:
        output: Array = self._output.cpu().numpy()
        return output


def _event() -> Any:
    import torch

    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


class OnnxRuntimeCudaRuntime:
    """ONNX Runtime's CUDA provider as a CUDA graph, input and output on the GPU, fp32. A run waits for the GPU."""

    name = "onnxruntime-cuda"
    package = "onnxruntime"
    converters: tuple[str, ...] = ("onnx",)
    extra: str | None = None
    converts_apart = False
    precision: Precision = "fp32"
    tolerance = 1e-4

    def convert(self, network: BuiltModel) -> bytes:
        """An ONNX file's bytes, batch norm folded."""
        return onnx_file(network, "fp32")

    def version(self) -> str:
        """ONNX Runtime's.

        Raises:
            SettingsError: this build of it has no CUDA provider.
        """
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise SettingsError(
                "runtime 'onnxruntime-cuda' needs an NVIDIA GPU and onnxruntime-gpu in place of onnxruntime: the one "
                f"here has {', '.join(onnxruntime.get_available_providers())}"
            )
        return f"{onnxruntime.__version__} CUDA"

    def load(self, model: bytes, images: Array, threads: int) -> Session:
        """A session of which every node runs on the GPU: ONNX Runtime refuses to record others."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        provider = ("CUDAExecutionProvider", {"enable_cuda_graph": "1", "use_tf32": "0"})
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
        return _OnnxCudaSession(session, images)


class _OnnxCudaSession:
    def __init__(self, session: Any, images: Array) -> None:
        import onnxruntime

        source, target = session.get_inputs()[0], session.get_outputs()[0]
        self._session, self._binding = session, session.io_binding()
        self._images = onnxruntime.OrtValue.ortvalue_from_numpy(images, "cuda", 0)
        self._result = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(target.shape, np.float32), "cuda", 0)
        self._binding.bind_ortvalue_input(source.name, self._images)
        self._binding.bind_ortvalue_output(target.name, self._result)

    def feed(self, images: Array) -> None:
        self._images.update_inplace(images)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def output(self) -> Array:
        return np.asarray(self._result.numpy())
