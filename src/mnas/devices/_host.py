"""What can be read of the machine: its CPU, its cores, their clocks, its load."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
_CORES = Path("/sys/devices/system/cpu")


def cpu_model(core: int = 0) -> str:
    """The CPU's name; on Linux with the numbers that tell generations of one name apart.

    Virtual machines often say no more than "AMD EPYC"; phones and boards have cores of several kinds.
    """
    fields = _cpuinfo(core)
    name = fields.get("model name") or platform.processor() or platform.machine()
    numbers = [f"{key} {fields[key]}" for key in ("cpu family", "model", "stepping", "CPU part") if key in fields]
    return " ".join([name, *numbers])


def available_cores() -> tuple[int, ...] | None:
    """The cores this process may use; None where the system does not let processes choose cores."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    return tuple(sorted(os.sched_getaffinity(0)))


def pick_cores(cores: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The `count` cores to time on: the fastest, no two on one physical core while others are free.

    Among equals the last ones: the first is where systems like to handle interrupts.
    """
    taken: set[str] = set()
    first: list[int] = []
    second: list[int] = []
    for core in sorted(cores, key=lambda core: (_max_khz(core), core), reverse=True):
        siblings = _read(_CORES / f"cpu{core}/topology/thread_siblings_list") or str(core)
        (second if siblings in taken else first).append(core)
        taken.add(siblings)
    return tuple(sorted((first + second)[:count]))


def core_state(cores: tuple[int, ...]) -> dict[str, Any]:
    """Governor, clock of each core in MHz, and the load average of the last minute, where they can be read."""
    governors = {_read(_CORES / f"cpu{core}/cpufreq/scaling_governor") for core in cores} - {None}
    return {
        "governor": ", ".join(sorted(map(str, governors))) or None,
        "clock_mhz": [_clock_mhz(core) for core in cores],
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _clock_mhz(core: int) -> float | None:
    khz = _read(_CORES / f"cpu{core}/cpufreq/scaling_cur_freq")
    if khz:
        return int(khz) / 1000
    mhz = _cpuinfo(core).get("cpu MHz")
    return float(mhz) if mhz else None


def _max_khz(core: int) -> int:
    return int(_read(_CORES / f"cpu{core}/cpufreq/cpuinfo_max_freq") or 0)


def _cpuinfo(core: int) -> dict[str, str]:
    """The fields of one core in /proc/cpuinfo; none where there is no such file."""
    for part in (_read(_CPUINFO) or "").split("\n\n"):
        fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in part.splitlines())}
        if fields.get("processor") == str(core):
            return fields
    return {}


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
