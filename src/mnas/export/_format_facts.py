"""What each export format needs, how its files end and what runs them; without the libraries themselves."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal, get_args

from mnas.errors import SettingsError, did_you_mean, needs_extra

Format = Literal["onnx", "litert", "executorch"]


@dataclass(frozen=True)
class FormatFacts:
    """What a format needs and how its files end."""

    suffix: str
    packages: tuple[str, ...]  # as they are imported
    distributions: tuple[str, ...]  # of which the versions are recorded
    runtime: str  # that runs them, by the name that devices have for it
    extra: str | None = None  # that brings them; None: they come with mnas


FORMATS: dict[str, FormatFacts] = {
    "onnx": FormatFacts(".onnx", ("onnx", "onnxruntime"), ("onnx", "onnxruntime"), "onnxruntime"),
    "litert": FormatFacts(
        ".tflite",
        ("litert_torch", "torchao", "ai_edge_litert"),
        ("ai-edge-litert", "litert-torch", "torchao", "torch"),
        "litert",
        "litert",
    ),
    "executorch": FormatFacts(
        ".pte", ("executorch", "torchao"), ("executorch", "torchao", "torch"), "executorch", "executorch"
    ),
}  # fmt: skip


def check_formats(formats: Sequence[str], nms: bool = False) -> None:
    """Refuse a format that is unknown, cannot hold non-maximum suppression (`nms`), or whose libraries are missing.

    Raises:
        SettingsError: naming the nearest format, or the extra that brings the library.
    """
    for name in formats:
        if name not in FORMATS:
            raise did_you_mean("export format", name, get_args(Format))
        if nms and name != "onnx":
            raise SettingsError(
                f"non-maximum suppression inside of a file is for onnx; {name}'s converter has no lowering for it. "
                "Leave it out there: postprocess.py beside the file does it"
            )
    for name in formats:
        for package in FORMATS[name].packages:
            if importlib.util.find_spec(package) is None:
                raise needs_extra(package, FORMATS[name].extra or name)


def versions(name: str) -> dict[str, str]:
    """The libraries that convert to a format and run it, and mnas."""
    return {package: version(package) for package in (*FORMATS[name].distributions, "mnas")}
