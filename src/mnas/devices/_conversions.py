"""Conversions: candidates made ready once, kept in memory and on disk.

A conversion takes from a twentieth of a second to a minute, and a search, its resumption and its final comparison
ask for the same networks again. Only what has run with correct outputs is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np

from mnas._cache import cache_folder
from mnas.devices._candidate import FILE, Candidate
from mnas.devices._converter import Converter
from mnas.devices._timing import Stopwatch
from mnas.devices.runtimes import Runtime
from mnas.errors import SettingsError
from mnas.space import Architecture

_IN_MEMORY_BYTES = 256 << 20
_ON_DISK_MB = 2048


class Conversions:
    """Candidates for one runtime, converted or remembered.

        conversions = Conversions(find_runtime("litert", "int8"))
        candidate = conversions.candidate(architecture)      # seconds
        conversions.keep(candidate)                          # it ran, and its outputs were right
        conversions.candidate(architecture).conversion       # {"from": "memory", ...}

    The folder on disk is `cache_folder()`; what was not used for longest goes when it is larger than MNAS_CACHE_MB
    megabytes (2048; 0 keeps nothing on disk). An entry counts for one architecture, runtime, precision, versions of
    the libraries that convert, and code of this package. A damaged one is converted again, and the candidate says so.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._converter = Converter(runtime)
        self._kept: OrderedDict[str, Candidate] = OrderedDict()

    def candidate(self, architecture: Architecture) -> Candidate:
        """The architecture made ready to be timed.

        Raises:
            MeasurementError: the runtime cannot convert it.
        """
        with Stopwatch() as watch:
            found = self._kept.get(architecture.id)
            origin, damage = "memory", None
            if found is None:
                origin = "disk"
                found, damage = _read(self._path(architecture), architecture)
        if found is None:
            made = self._converter.convert(architecture)
            remark = {} if damage is None else {"damaged_entry": damage}
            return dataclasses.replace(made, conversion={"from": "conversion", **remark})
        spent = {"from": origin, "converting_took_seconds": found.conversion_seconds}
        return dataclasses.replace(found, conversion=spent, conversion_seconds=watch.seconds)

    def keep(self, candidate: Candidate) -> None:
        """Remember a candidate that has run with correct outputs; where the disk is full or read-only, in memory.

        A file that was exported is nobody's conversion and is not remembered.
        """
        if candidate.conversion.get("from") in ("memory", FILE):
            return
        original = candidate.conversion.get("converting_took_seconds", candidate.conversion_seconds)
        candidate = dataclasses.replace(candidate, conversion_seconds=original)
        self._kept[candidate.architecture.id] = candidate
        while sum(len(kept.model) for kept in self._kept.values()) > _IN_MEMORY_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        if candidate.conversion.get("from") != "disk" and _limit_bytes():
            with contextlib.suppress(OSError):
                _write(self._path(candidate.architecture), candidate)

    def close(self) -> None:
        """Ends the process that converts, if there is one."""
        self._converter.close()

    def _path(self, architecture: Architecture) -> Path:
        parts = [str(architecture), self.runtime.name, self.runtime.precision, _versions(self.runtime.converters)]
        key = hashlib.sha256(json.dumps([*parts, _code()]).encode()).hexdigest()
        return cache_folder() / "conversions" / f"{self.runtime.name}-{self.runtime.precision}-{key[:32]}"


def _limit_bytes() -> int:
    text = os.environ.get("MNAS_CACHE_MB", str(_ON_DISK_MB))
    if not text.isdigit():
        raise SettingsError(f"MNAS_CACHE_MB should be a whole number of megabytes, got {text!r}")
    return int(text) << 20


def _write(path: Path, candidate: Candidate) -> None:
    """Whole or not at all: into a file beside it, which is then renamed. Then the oldest entries make room."""
    header = {
        "sha256": "",
        "architecture": str(candidate.architecture),
        "conversion_seconds": candidate.conversion_seconds,
        "precision": candidate.precision,
    }
    body = io.BytesIO()
    np.savez(body, model=np.frombuffer(candidate.model, np.uint8), expected=candidate.expected)
    header["sha256"] = hashlib.sha256(body.getbuffer()).hexdigest()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # a model can be code, and is loaded as such
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(json.dumps(header).encode() + b"\n" + body.getbuffer())
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    _make_room(path.parent)


def _read(path: Path, architecture: Architecture) -> tuple[Candidate | None, str | None]:
    """The entry, or nothing and what is wrong with it; nothing and None where there is none."""
    if not _limit_bytes():
        return None, None
    try:
        data = path.read_bytes()
        os.utime(path)  # used now: among the last to go
    except OSError:
        return None, None
    try:
        line, _, body = data.partition(b"\n")
        header: Mapping[str, Any] = json.loads(line)
        if hashlib.sha256(body).hexdigest() != header["sha256"]:
            raise ValueError("its checksum is wrong")
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            model, expected = arrays["model"].tobytes(), arrays["expected"]
    except (ValueError, KeyError, TypeError) as error:
        return None, f"{path.name}: {error}"
    seconds, precision = header["conversion_seconds"], header["precision"]
    return Candidate.remembered(architecture, model, expected, seconds, precision), None


def _make_room(folder: Path) -> None:
    entries = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another search may have removed it
            state = path.stat()
            entries.append((state.st_mtime, state.st_size, path))
    total, limit = sum(size for _, size, _ in entries), _limit_bytes()
    for _, size, path in sorted(entries):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size


@functools.cache
def _versions(converters: tuple[str, ...]) -> dict[str, str]:
    """The versions of what shapes a conversion; torch builds the module whatever the runtime."""
    found = {}
    distributions = packages_distributions()
    for package in sorted({*converters, "torch"}):
        try:
            found[package] = version(distributions.get(package, [package])[0])
        except PackageNotFoundError:
            found[package] = "missing"
    return found


@functools.cache
def _code() -> str:
    """A digest of the code here that conversions depend on: a version number would be forgotten."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    rooms = ("models", "export", "devices/runtimes")
    shaping = [root / "devices" / "_candidate.py", *(path for room in rooms for path in (root / room).rglob("*.py"))]
    for path in sorted(shaping):
        digest.update(path.read_bytes())
    return digest.hexdigest()
