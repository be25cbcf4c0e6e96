"""MachinesView: what works on a run right now, from the status file that its driver keeps."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mnas.errors import StorageError
from mnas.views._models import MachinesView

_SILENT_S = 60.0  # a driver writes every ten seconds at least


def read_machines(folder: Path, now: float | None = None) -> MachinesView:
    """The status of a run; state "none" where its driver wrote none.

    Raises:
        StorageError: the status file is damaged.
    """
    now = time.time() if now is None else now
    path = folder / "status.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return MachinesView(state="none", now=now)
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error
    try:
        document: dict[str, Any] = {key: value for key, value in json.loads(text).items() if value is not None}
        if document.get("state") == "running" and now - document.get("written", 0.0) > _SILENT_S:
            document["state"] = "silent"
        return MachinesView.model_validate({**document, "now": now})
    except (ValueError, AttributeError, TypeError, ValidationError) as error:
        raise StorageError(f"{path} is damaged: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
