"""A surrogate's file: plain arrays in safetensors, with provenance and a checksum. Never a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mnas.errors import StopError

Arrays = Mapping[str, NDArray[Any]]

_KEY = "mnas-surrogate"
_REPAIR = "install mnas again, or make the file again with scripts/fit_surrogates.py"


@dataclass(frozen=True)
class SurrogateFile:
    """What one file holds: arrays by name, and where they come from."""

    name: str
    arrays: Arrays
    provenance: Mapping[str, Any]  # JSON values: origin, licence, rows, split, seed, errors, ...
    sha256: str  # of the arrays and the provenance

    def array(self, name: str) -> NDArray[Any]:
        """One array.

        Raises:
            StopError: the file lacks it.
        """
        if name not in self.arrays:
            raise StopError(f"surrogate {self.name!r} lacks the array {name!r}: {_REPAIR}")
        return self.arrays[name]


def write_surrogate_file(path: Path, arrays: Arrays, provenance: Mapping[str, Any]) -> None:
    """Write a surrogate. The same content gives the same bytes."""
    arrays = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    text = json.dumps(provenance, sort_keys=True, allow_nan=False)
    # One key, because safetensors writes several in any order.
    path.write_bytes(save(arrays, {_KEY: json.dumps({"provenance": text, "sha256": _digest(arrays, text)})}))


def read_surrogate_file(path: Path) -> SurrogateFile:
    """Read a surrogate and check that it is whole.

    Raises:
        StopError: the file is missing, is not a surrogate, or is not what was written.
    """
    try:
        arrays, metadata = _read(path)
        described = json.loads(metadata[_KEY])
        text, sha256 = described["provenance"], described["sha256"]
    except FileNotFoundError as error:
        raise StopError(f"the surrogate file {path} is missing: {_REPAIR}") from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StopError(f"the surrogate file {path} cannot be read ({error}): {_REPAIR}") from error
    if _digest(arrays, text) != sha256:
        raise StopError(f"the surrogate file {path} is damaged (its checksum differs): {_REPAIR}")
    return SurrogateFile(path.stem, arrays, json.loads(text), sha256)


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _digest(arrays: Arrays, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
