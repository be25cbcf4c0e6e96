"""What can be measured on: this machine, its GPUs, phones on adb, boards over SSH, each with its runtimes."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from mnas.devices import _host
from mnas.devices._adb import phones
from mnas.devices._ssh import look_at
from mnas.devices.runtimes import RUNTIMES
from mnas.errors import MnasError

_SSH_CONFIG = Path("~/.ssh/config")
_GPU_FIELDS = ("index", "name", "driver_version", "memory.total")


@dataclass(frozen=True)
class Reachable:
    """A device and what is known of it without measuring anything."""

    address: str  # what --device takes; in brackets where it is not asked or cannot be used
    what: str
    runtimes: Mapping[str, str] = field(default_factory=dict)  # installed there, with their versions
    problem: str | None = None  # why it cannot be used


def reachable(addresses: Sequence[str] = ()) -> Iterator[Reachable]:
    """This machine, its GPUs, phones, the hosts of the user's ssh configuration, and the boards at some addresses.

    Only the boards that are named are connected to.
    """
    yield _this_machine()
    yield from _gpus()
    yield from _phones()
    named = {address.removeprefix("ssh://") for address in addresses}
    for address in sorted(named):
        yield _board(address)
    for host in _ssh_hosts(_SSH_CONFIG.expanduser()):
        if host not in named:
            yield Reachable(f"ssh://{host}", f"in ~/.ssh/config, not asked: mnas devices ssh://{host}")


def _this_machine() -> Reachable:
    cores = _host.available_cores()
    count = len(cores) if cores else os.cpu_count()
    versions = ((runtime, _version(RUNTIMES[runtime].package)) for runtime in RUNTIMES)
    installed = {runtime: version for runtime, version in versions if version is not None}
    return Reachable("cpu", f"{_host.cpu_model()}, {count} cores, {platform.platform()}", installed)


def _version(package: str) -> str | None:
    """The version of an imported package's distribution; None: it is not installed."""
    names = metadata.packages_distributions().get(package.partition(".")[0], [])
    return metadata.version(names[0]) if names else None


def _gpus() -> Iterator[Reachable]:
    """As nvidia-smi tells; none where there is no such program."""
    if shutil.which("nvidia-smi") is None:
        return
    command = ["nvidia-smi", f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if asked.returncode:
        yield Reachable("[gpu]", "NVIDIA", problem=f"nvidia-smi: {(asked.stderr or asked.stdout).strip()}")
        return
    for line in asked.stdout.splitlines():
        index, name, driver, memory = (part.strip() for part in line.split(","))
        yield Reachable(
            f"[gpu {index}]", f"{name}, {memory}, driver {driver}: runtimes of device cpu that end in -cuda"
        )


def _phones() -> Iterator[Reachable]:
    try:
        found = phones()
    except MnasError as error:
        yield Reachable("[adb]", "phones", problem=str(error))
        return
    for phone in found:
        what = ", ".join(filter(None, (phone.model, phone.abi, phone.android and f"Android {phone.android}")))
        usable = phone.state == "device"
        yield Reachable(f"adb://{phone.serial}", what or "a phone", problem=None if usable else phone.state)


def _board(address: str) -> Reachable:
    try:
        seen = look_at(address, {name: runtime.package for name, runtime in RUNTIMES.items()})
    except MnasError as error:
        return Reachable(f"ssh://{address}", "a board", problem=str(error))
    return Reachable(f"ssh://{address}", seen.what, seen.runtimes)


def _ssh_hosts(path: Path) -> list[str]:
    """The hosts that a configuration of ssh names, patterns left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    words = [word for line in re.findall(r"(?im)^\s*host\s+(.+)$", text) for word in line.split()]
    return sorted({word for word in words if not set(word) & set("*?!")})
