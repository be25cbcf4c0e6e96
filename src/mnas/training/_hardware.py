"""Hardware: on what a training runs, apart from what is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from mnas.errors import SettingsError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Hardware:
    """On what a training runs. What is here changes speed and memory; batch norm sees `images_at_once`.

    The defaults are the proxy task's: the CPU in fp32, whose results repeat bit for bit. "auto" is the GPU where
    there is one, and bf16 on a GPU that has it.
    """

    device: Device = "cpu"
    precision: Precision = "fp32"
    images_at_once: int = 0  # that one process takes through the network at once; 0: its whole share of the batch
    compile: bool = False  # torch.compile
    distributed: bool = False  # with the other processes that torchrun started
    deterministic: bool = False  # on a GPU: the same result each time, more slowly

    def __post_init__(self) -> None:
        expected = {
            "device": (self.device in get_args(Device), f"one of {', '.join(get_args(Device))}"),
            "precision": (self.precision in get_args(Precision), f"one of {', '.join(get_args(Precision))}"),
            "images_at_once": (self.images_at_once == 0 or self.images_at_once >= 2, "0 or at least 2"),
        }
        for name, (holds, words) in expected.items():
            if not holds:
                raise SettingsError(f"{name} should be {words}, got {getattr(self, name)!r}")

    def torch_device(self, local_rank: int = 0) -> torch.device:
        """The device; of several GPUs each process has its own.

        Raises:
            SettingsError: "cuda" where there is none.
        """
        import torch

        has_gpu = torch.cuda.is_available()
        if self.device == "cuda" and not has_gpu:
            raise SettingsError("device should be 'cpu' or 'auto': torch sees no CUDA GPU here, got 'cuda'")
        return torch.device("cuda", local_rank) if has_gpu and self.device != "cpu" else torch.device("cpu")

    def autocast(self, device: torch.device) -> torch.dtype | None:
        """The type that convolutions and products are computed in; None: that of the weights, fp32."""
        import torch

        if self.precision == "auto":
            return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else None
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]

    def images_per_piece(self, batch: int, processes: int) -> int:
        """How many images each process takes through the network at once.

        Raises:
            SettingsError: the batch cannot be shared out evenly.
        """
        share, rest = divmod(batch, processes)
        if rest:
            raise SettingsError(f"batch should be a multiple of the {processes} processes, got {batch}")
        at_once = min(self.images_at_once or share, share)
        if at_once < 2 or share % at_once:
            raise SettingsError(
                f"images_at_once should divide a process's share of the batch, {share} images, and be at least 2 for "
                f"batch norm; got {at_once}"
            )
        return at_once
