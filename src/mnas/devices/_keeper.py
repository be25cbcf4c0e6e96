"""The keeper: a process on a board that holds one folder for as long as it is talked to, and removes it then."""

from __future__ import annotations

import os
import platform
import signal
import sys
import zipfile
from importlib import metadata
from typing import Any

from mnas.devices import _host
from mnas.devices._wire import receive, send

# What begins it, before there is anything of mnas on the board; a constant, for it goes through the board's shell.
# It reads the length of the agent, and the agent, from its standard input.
BOOTSTRAP = """
import os, shutil, sys, tempfile
folder = tempfile.mkdtemp(prefix="mnas-")
try:
    path = os.path.join(folder, "agent.pyz")
    size = int(sys.stdin.buffer.readline())
    with open(path, "wb") as file:
        file.write(sys.stdin.buffer.read(size))
    sys.path.insert(0, path)
    from mnas.devices._keeper import keep
    keep(folder)
finally:
    shutil.rmtree(folder, ignore_errors=True)
"""


def keep(folder: str) -> None:
    """Takes wheels and unpacks them in the folder, until the other end closes."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # by way of BOOTSTRAP's `finally`
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    python = f"{sys.version_info[0]}{sys.version_info[1]}"
    machine = {"folder": folder, "machine": platform.machine(), "system": platform.system(), "python": python}
    send(answers, machine)
    while True:
        try:
            header, parts = receive(requests)
        except EOFError:
            return
        send(answers, _answer(folder, header, parts))


def _look(packages: dict[str, str]) -> dict[str, Any]:
    """What this machine is, and which of the packages it has, by their names for import."""
    known = metadata.packages_distributions() if hasattr(metadata, "packages_distributions") else {}
    versions = {
        name: metadata.version(known[package][0])
        for name, package in packages.items()
        if known.get(package.partition(".")[0])
    }
    return {
        "cpu": _host.cpu_model(),
        "cores": len(_host.available_cores() or ()) or os.cpu_count(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _answer(folder: str, header: dict[str, Any], parts: list[bytes]) -> dict[str, Any]:
    if "look" in header:
        return _look(header["look"])
    if "wheel" not in header:
        return {}
    path = os.path.join(folder, "wheel.zip")
    try:
        with open(path, "wb") as file:
            file.write(parts[0])
        with zipfile.ZipFile(path) as archive:
            archive.extractall(os.path.join(folder, "site"))
        os.remove(path)
    except (OSError, zipfile.BadZipFile) as error:
        return {"error": str(error)}
    return {}
