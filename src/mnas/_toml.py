"""TOML files of a person's, read with errors that name the file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from mnas.errors import SettingsError


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content.

    Raises:
        SettingsError: not readable or not TOML, with the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
