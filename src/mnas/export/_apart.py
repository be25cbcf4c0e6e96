"""Converting and running in a process of its own, for libraries that print, write where they are and may crash.

`python -m mnas.export._apart FOLDER FORMAT PARENT` finds a model file and arrays in the folder and leaves there the
converted file, its outputs and what goes in and comes out.
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
        save_model(folder / "model.safetensors", trained)
        np.save(folder / "images.npy", images)
        if calibration is not None:
            np.save(folder / "calibration.npy", np.stack(calibration))
        command = [sys.executable, "-P", "-m", "mnas.export._apart", text, name, str(os.getpid())]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise ExportError(f"the conversion to {name} took longer than {_LIMIT_S:g} s and was stopped") from error
        if (folder / "failed.json").exists():
            raise ExportError(json.loads((folder / "failed.json").read_text(encoding="utf-8")))
        if done.returncode:
            words = done.stderr.strip()[-_TAIL:]
            raise ExportError(f"the process that converts to {name} ended with {done.returncode}: {words}")
        found: Sides = json.loads((folder / "sides.json").read_text(encoding="utf-8"))
        with np.load(folder / "outputs.npz") as arrays:
            given = list(zip(*(arrays[name] for name in arrays), strict=True))
        return (folder / "model").read_bytes(), given, found


def main(folder: Path, name: str, parent: int) -> None:
    """What the process does."""
    threading.Thread(target=_end_with, args=(parent, folder), daemon=True).start()
    trained, images = load_model(folder / "model.safetensors"), np.load(folder / "images.npy")
    path = folder / "calibration.npy"
    try:
        data = converted(trained, name, list(np.load(path)) if path.exists() else None)
    except ExportError as error:
        (folder / "failed.json").write_text(json.dumps(str(error)), encoding="utf-8")
        return
    np.savez(folder / "outputs.npz", *map(np.stack, zip(*outputs(name, data, images), strict=True)))
    (folder / "sides.json").write_text(json.dumps(sides(name, data)), encoding="utf-8")
    (folder / "model").write_bytes(data)


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
