"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

from mnas.errors import SettingsError, StorageError

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file of which a reader sees all or nothing; what was there before stays until then.

    Raises:
        SettingsError: the file's folder does not exist.
        StorageError: it could not be written, as where the disk is full; nothing of it is left.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise SettingsError(f"cannot write {target}: there is no folder {target.parent}")
    # Beside the target, because a rename is atomic only within one file system.
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before the rename, which may reach the disk first
        temporary.replace(target)
    except OSError as error:
        raise StorageError(
            f"cannot write {target} ({len(data):,} bytes): {error.strerror or error}. "
            f"{'The one before is kept' if target.exists() else 'Nothing of it was left'}; make room or name another "
            "folder"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed had written of a file; only for who holds the folder alone."""
    for entry in folder.iterdir():
        if _UNFINISHED.fullmatch(entry.name):
            entry.unlink(missing_ok=True)
