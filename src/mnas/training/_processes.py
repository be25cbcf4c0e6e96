"""Processes: those that train one module together, as torchrun started them."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor

from mnas.errors import SettingsError
from mnas.training._torchrun import rank, started_by_torchrun


class Processes:
    """This process among those that train together; alone it is the first of one.

        with Processes(is_distributed=True, on_gpu=False) as processes:
            processes.sum_(vector)             # now the sum of every process's vector, in each of them

    Over gloo on CPUs, over NCCL on GPUs. A group that is there already is used and left.
    """

    rank = 0
    count = 1
    local_rank = 0

    def __init__(self, is_distributed: bool, on_gpu: bool) -> None:
        self._is_distributed = is_distributed
        self._backend = "nccl" if on_gpu else "gloo"
        self._made_group = False
        if is_distributed:
            if not started_by_torchrun():
                raise SettingsError("distributed trainings are started by torchrun: torchrun --nproc-per-node 2 ...")
            self.rank, self.count = rank(), int(os.environ["WORLD_SIZE"])
            self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))

    def __enter__(self) -> Processes:
        if self._is_distributed and not dist.is_initialized():
            dist.init_process_group(self._backend)
            self._made_group = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._made_group:
            dist.destroy_process_group()

    def sum_(self, tensor: Tensor) -> None:
        """Put the sum over all processes in the tensor's place."""
        if self.count > 1:
            dist.all_reduce(tensor)

    def wait(self) -> None:
        """Until all processes are here."""
        self.sum_(torch.zeros(1))
