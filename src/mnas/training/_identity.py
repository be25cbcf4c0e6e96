"""What a checkpoint must be of for a training to go on from it."""

from __future__ import annotations

import hashlib
from typing import Any

from torch import nn

from mnas.datasets import Part
from mnas.training._hardware import Hardware
from mnas.training._recipe import Recipe


def identity_of(
    model: nn.Module,
    teacher: nn.Module | None,
    data: str,
    recipe: Recipe,
    hardware: Hardware,
    processes: int,
    seed: int,
    parts: tuple[Part, Part | None],
) -> dict[str, Any]:
    """Plain values by name, so that a difference can be named: all that the result depends on."""
    return {
        **{f"recipe.{name}": value for name, value in recipe.to_dict().items()},
        "architecture": str(getattr(model, "architecture", "")) or _shapes(model),
        "teacher": _weights(teacher) if teacher is not None else None,
        "dataset": data,
        "train_on": parts[0],
        "evaluate_on": parts[1],
        "seed": seed,
        "processes": processes,
        "images_at_once": hardware.images_at_once,
        "device": hardware.device,
        "precision": hardware.precision,
    }


def _shapes(model: nn.Module) -> str:
    shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items())
    return f"{type(model).__name__} {hashlib.sha256(shapes.encode()).hexdigest()[:12]}"


def _weights(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return f"{type(model).__name__} {digest.hexdigest()[:12]}"
