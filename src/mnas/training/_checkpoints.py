"""Checkpoints: where a training leaves what it needs to go on, and the file that holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mnas._whole_file import write_whole
from mnas.errors import SettingsError, StorageError

_VERSION = 1
_KEY = "mnas.checkpoint"


@dataclass(frozen=True)
class Checkpoints:
    """Where a training leaves checkpoints, how often, and whether it goes on from the one that is there.

        train(module, dataset, recipe, seed=0, checkpoints=Checkpoints(folder, resume=True))

    With `resume` and no checkpoint in the folder the training starts at its beginning. Without, it replaces what
    is there. One more is left after the last step.
    """

    folder: Path
    every_seconds: float = 300.0
    resume: bool = False

    def __post_init__(self) -> None:
        if self.every_seconds < 0:
            raise SettingsError(f"every_seconds should be at least 0, got {self.every_seconds}")

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "checkpoint.safetensors"


@dataclass(frozen=True)
class Snapshot:
    """A training between two steps: what it is of, tensors by name, and numbers."""

    identity: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a checkpoint whole or not at all; the one before stays until the new one is on the disk.

    Raises:
        StorageError: it cannot be written, for instance because the disk is full.
    """
    text = json.dumps({"version": _VERSION, "identity": snapshot.identity, "facts": snapshot.facts})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.torch.save(dict(snapshot.tensors), {_KEY: text}))


def load_snapshot(path: Path, identity: Mapping[str, Any]) -> Snapshot:
    """The checkpoint of a training; nothing in the file is ever run.

    Raises:
        StorageError: not a whole checkpoint, or one of another training; the differences are named.
    """
    text, tensors = _read(path)
    try:
        stored = json.loads(text or "")
        version, theirs, facts = stored["version"], stored["identity"], stored["facts"]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is no checkpoint of a training by mnas: delete it to start again") from error
    if version != _VERSION:
        raise StorageError(f"{path} is a checkpoint of format {version}, this version of mnas reads {_VERSION}")
    ours = json.loads(json.dumps(identity))
    keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if keys:
        differences = "; ".join(f"{key} {theirs.get(key)!r} there, {ours.get(key)!r} here" for key in keys)
        raise StorageError(
            f"{path} is a checkpoint of another training: {differences}. Go on with its settings, or start again "
            "without resume, which replaces it"
        )
    return Snapshot(theirs, tensors, facts)


def _read(path: Path) -> tuple[str | None, dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            return metadata.get(_KEY), {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise StorageError(
            f"{path} is not a whole checkpoint ({error}): it was cut short or is something else. Delete it to "
            "start again"
        ) from error
