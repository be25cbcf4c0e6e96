"""The agent: what of mnas goes to a board, as one file that Python runs.

It is made of the very files that time networks here, so that both do the same; nothing else of mnas is needed
there, and of other packages only the runtime with its numpy.
"""

from __future__ import annotations

import io
import zipfile
from importlib.resources import files

_FILES = (
    "_quantization.py",
    "errors.py",
    "devices/_host.py",
    "devices/_keeper.py",
    "devices/_serving.py",
    "devices/_timing.py",
    "devices/_wire.py",
    "devices/_worker.py",
)
_MAIN = "from mnas.devices._worker import main\nmain()\n"


def agent() -> bytes:
    """The file: a zip archive that `python3 FILE` runs as a timing process."""
    package = files("mnas")
    runtimes = [entry.name for entry in (package / "devices" / "runtimes").iterdir() if entry.name.endswith(".py")]
    names = [*_FILES, *(f"devices/runtimes/{name}" for name in sorted(runtimes))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", _MAIN)
        for empty in ("mnas/__init__.py", "mnas/devices/__init__.py"):
            archive.writestr(empty, "")
        for name in names:
            archive.writestr(f"mnas/{name}", (package / name).read_bytes())
    return buffer.getvalue()
