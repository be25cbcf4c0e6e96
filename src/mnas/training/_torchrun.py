"""What torchrun tells the processes that it starts; needs no torch."""

from __future__ import annotations

import os


def started_by_torchrun() -> bool:
    """Whether this process is one of those that torchrun started."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ and "MASTER_ADDR" in os.environ


def rank() -> int:
    """This process's number among those that torchrun started; 0 writes files and talks. Alone: 0."""
    return int(os.environ["RANK"]) if started_by_torchrun() else 0
