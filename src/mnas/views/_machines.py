"""MachinesView: what works on a run right now, from the status file that its driver keeps."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import ValidationError

from mnas.errors import StorageError
from mnas.status import read_status
from mnas.views._models import MachinesView


def read_machines(folder: Path) -> MachinesView:
    """The status of a run; state "none" where its driver wrote none.

    Raises:
        StorageError: the status file is damaged.
    """
    now = time.time()
    status = read_status(folder, now)
    if status is None:
        return MachinesView(state="none", now=now)
    try:
        return MachinesView.model_validate({**status.to_dict(), "now": now})
    except ValidationError as error:
        raise StorageError(
            f"{folder}/status.json is damaged: {error.error_count()} values are not understood"
        ) from error
