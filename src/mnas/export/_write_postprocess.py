"""The post-processing file that goes beside exported detectors."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mnas._whole_file import write_whole

NAME = "postprocess.py"


def write_postprocess(folder: Path) -> Path:
    """Write postprocess.py into a folder: decoded boxes and scores -> detections, with numpy alone.

    Raises:
        SettingsError: the folder does not exist.
        StorageError: the file could not be written.
    """
    path = Path(folder) / NAME
    write_whole(path, (files("mnas.export") / "_postprocess.py").read_bytes())
    return path
