"""A trained model as one safetensors file: weights, and all else as JSON in its header.

Loading parses numbers and JSON. Nothing in the file is ever executed, which a pickle would be.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mnas._whole_file import write_whole
from mnas.errors import SettingsError, StorageError
from mnas.models._build import BuiltModel
from mnas.models._detector import Detector
from mnas.models._network import Network
from mnas.models._preprocessing import Preprocessing
from mnas.models._trained_model import TrainedModel
from mnas.space import Architecture

_FORMAT, _VERSION = "mnas-model", "1"


def save_model(path: str | os.PathLike[str], trained: TrainedModel) -> None:
    """Write a model file: whole or not at all. The module stays as it is.

    Raises:
        SettingsError: the file's folder does not exist, or the weights are not float32.
        StorageError: the file could not be written, as where the disk is full; nothing of it is left.
    """
    weights = {key: value.detach().cpu().contiguous() for key, value in trained.module.state_dict().items()}
    if fault := _fault(weights, _empty(trained.architecture, _dropout(trained.module))):
        raise SettingsError(f"cannot save the module: {fault}. Bring it to float32 first: module.float()")
    metadata = {"format": _FORMAT, "version": _VERSION, "model": json.dumps(_facts(trained), allow_nan=False)}
    write_whole(path, safetensors.torch.save(weights, metadata))


def load_model(path: str | os.PathLike[str]) -> TrainedModel:
    """The model of a file that `save_model` wrote, in evaluation mode, on the CPU.

    Raises:
        SettingsError: there is no such file.
        StorageError: it is truncated, damaged, of another kind or of a newer version.
    """
    weights, metadata = _read(Path(path))
    if metadata.get("format") != _FORMAT:
        raise StorageError(
            f"{path} holds weights, but is no model file of mnas: load_timm and load_torchvision take those of "
            "others, load_weights and --weights timm:MODEL find published ones by name"
        )
    if metadata.get("version") != _VERSION:
        raise StorageError(
            f"{path} has version {metadata.get('version')} of the model file, this mnas reads version {_VERSION}: "
            "install the mnas that wrote it"
        )
    try:
        facts = json.loads(metadata["model"])
        module = _empty(Architecture.parse(facts["architecture"]), float(facts["dropout"]))
        if fault := _fault(weights, module):
            raise ValueError(fault)
        module.load_state_dict(weights, assign=True)
        return _trained(module.eval(), facts)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise StorageError(f"{path} is a damaged model file: {error}. Copy or train the model again") from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise SettingsError(f"there is no model file {path}")
    try:
        # Read, not mapped: a file that changes under a mapping would end the process.
        with safetensors.safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
        return safetensors.torch.load(path.read_bytes()), metadata
    except (safetensors.SafetensorError, OSError) as error:
        raise StorageError(
            f"{path} is no whole safetensors file ({error}): it was cut off, or is of another kind, as a .pt or .pth "
            "file is. Copy or train the model again"
        ) from error


def _facts(trained: TrainedModel) -> dict[str, Any]:
    return {
        "architecture": str(trained.architecture),
        "dropout": _dropout(trained.module),
        "class_names": list(trained.class_names),
        "preprocessing": dataclasses.asdict(trained.preprocessing),
        "is_multilabel": trained.is_multilabel,
        "metrics": dict(trained.metrics),
        "made": dict(trained.made),
    }


def _trained(module: BuiltModel, facts: Mapping[str, Any]) -> TrainedModel:
    preprocessing = Preprocessing.from_dict(facts["preprocessing"])
    names = tuple(str(name) for name in facts["class_names"])
    return TrainedModel(module, names, preprocessing, facts["is_multilabel"], facts["metrics"], facts["made"])


def _empty(architecture: Architecture, dropout: float) -> BuiltModel:
    """The module without weights or memory for them: a file cannot make a small machine build a giant."""
    with torch.device("meta"):
        return Detector(architecture) if architecture.is_detector else Network(architecture, dropout)


def _dropout(module: BuiltModel) -> float:
    return module.dropout if isinstance(module, Network) else 0.0


def _fault(weights: Mapping[str, Tensor], module: BuiltModel) -> str | None:
    """What of the weights does not fit the module; None if all do."""
    expected = module.state_dict()
    if missing := sorted(expected.keys() - weights.keys()):
        return f"{len(missing)} weights are missing, such as {missing[0]}"
    if extra := sorted(weights.keys() - expected.keys()):
        return f"{len(extra)} weights are not of this architecture, such as {extra[0]}"
    for key, value in expected.items():
        found = weights[key]
        if (found.shape, found.dtype) != (value.shape, value.dtype):
            return f"{key} is {_described(found)} instead of {_described(value)}"
    return None


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
