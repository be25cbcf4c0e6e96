"""Converting and running in a process of its own, for libraries that print, write where they are and may crash.

`python -m mnas.export._apart FOLDER FORMAT PARENT` finds a trained model and arrays in the folder and leaves there
the converted file, its outputs and what goes in and comes out; where that file is there already, its outputs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnas.errors import ExportError
from mnas.export._description import Sides, sides
from mnas.export._formats import Outputs, converted, outputs
from mnas.export._onnx import Array
from mnas.models import TrainedModel, load_model, save_model

_LIMIT_S = 1800.0  # a large network in int8 takes minutes on a busy machine
_LOOK_S = 0.5  # between looks at whether the parent is still there
_TAIL = 300  # characters of its last words that an error repeats


def converted_apart(
    trained: TrainedModel, name: str, calibration: Sequence[Array] | None, images: Array
) -> tuple[bytes, list[Outputs], Sides]:
    """The file's bytes in a format, what they give on each image, and its inputs and outputs.

    Raises:
        ExportError: it cannot be converted or run, its process died or took longer than half an hour.
    """
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        save_model(folder / "trained.safetensors", trained)
        if calibration is not None:
            np.save(folder / "calibration.npy", np.stack(calibration))
        given = _run_apart(folder, name, images)
        found: Sides = json.loads((folder / "sides.json").read_text(encoding="utf-8"))
        return (folder / "model").read_bytes(), given, found


def file_outputs(name: str, data: bytes, images: Array) -> list[Outputs]:
    """What a file's bytes give in their runtime on each of the normalized images (n, channels, side, side).

    Raises:
        ExportError: it cannot be run.
    """
    if name == "onnx":
        return outputs(name, data, images)
    with tempfile.TemporaryDirectory() as text:
        (Path(text) / "model").write_bytes(data)
        return _run_apart(Path(text), name, images)


def _run_apart(folder: Path, name: str, images: Array) -> list[Outputs]:
    np.save(folder / "images.npy", images)
    command = [sys.executable, "-P", "-m", "mnas.export._apart", str(folder), name, str(os.getpid())]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"the process for {name} took longer than {_LIMIT_S:g} s and was stopped") from error
    if (folder / "failed.json").exists():
        raise ExportError(json.loads((folder / "failed.json").read_text(encoding="utf-8")))
    if done.returncode:
        words = done.stderr.strip()[-_TAIL:]
        raise ExportError(f"the process for {name} ended with {done.returncode}: {words}")
    with np.load(folder / "outputs.npz") as arrays:
        return list(zip(*(arrays[each] for each in arrays), strict=True))


def main(folder: Path, name: str, parent: int) -> None:
    """What the process does."""
    threading.Thread(target=_end_with, args=(parent, folder), daemon=True).start()
    model = folder / "model"
    if not model.exists():
        try:
            model.write_bytes(_converted(folder, name))
        except ExportError as error:
            (folder / "failed.json").write_text(json.dumps(str(error)), encoding="utf-8")
            return
        (folder / "sides.json").write_text(json.dumps(sides(name, model.read_bytes())), encoding="utf-8")
    given = outputs(name, model.read_bytes(), np.load(folder / "images.npy"))
    np.savez(folder / "outputs.npz", *map(np.stack, zip(*given, strict=True)))


def _converted(folder: Path, name: str) -> bytes:
    path = folder / "calibration.npy"
    calibration = list(np.load(path)) if path.exists() else None
    return converted(load_model(folder / "trained.safetensors"), name, calibration)


def _end_with(parent: int, folder: Path) -> None:
    """End when the process that waits for the outcome is gone, with the folder that it would have removed."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)  # some of these libraries crash while Python takes them apart
