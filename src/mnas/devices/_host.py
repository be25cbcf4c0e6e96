"""What can be read of the machine: its CPU, its cores, and what happened on them while something was timed."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
_CORES = Path("/sys/devices/system/cpu")
_THERMAL = Path("/sys/class/thermal")
_STAT = Path("/proc/stat")
_TASKS = Path("/proc/self/task")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
_IDLE, _IOWAIT, _STEAL = 3, 4, 7  # fields of a line of /proc/stat


@dataclass(frozen=True)
class Conditions:
    """What happened on the machine during a spell. None: it does not tell.

    Shares are of the spell's time, 0 to 1.
    """

    waited: float | None = None  # share that the threads were ready to run, and another process had their core
    neighbours: float | None = None  # share that cores were busy which may be on the same physical cores
    stolen: float | None = None  # share that a hypervisor gave the cores to other machines
    governor: str | None = None
    clock_mhz: tuple[float, float] | None = None  # slowest of the cores, before and after
    celsius: float | None = None  # the hottest of the machine's sensors, after
    load_average: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"clock_mhz": list(self.clock_mhz) if self.clock_mhz else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Conditions:
        """The inverse of `to_dict`."""
        return cls(**{**data, "clock_mhz": tuple(data["clock_mhz"]) if data["clock_mhz"] else None})


@contextmanager
def watch(cores: tuple[int, ...] | None) -> Iterator[Callable[[], Conditions]]:
    """Watches the machine while the block runs on these cores; the function that it gives then tells."""
    cores = cores or ()
    near = neighbours(cores)
    start, clocks = _Counters.read(cores, near), _slowest_clock(cores)
    found: list[Conditions] = []
    yield lambda: found[0]
    now = _Counters.read(cores, near)
    seconds = max(now.seconds - start.seconds, 1e-9)
    clocks_after = _slowest_clock(cores)
    governors = {_read(_CORES / f"cpu{core}/cpufreq/scaling_governor") for core in cores} - {None}
    found.append(
        Conditions(
            waited=_share(start.waited_s, now.waited_s, seconds * max(1, len(cores))),
            neighbours=_share(start.near_busy_s, now.near_busy_s, seconds * max(1, len(near))),
            stolen=_share(start.stolen_s, now.stolen_s, seconds * max(1, len(cores))),
            governor=", ".join(sorted(map(str, governors))) or None,
            clock_mhz=(clocks, clocks_after) if clocks and clocks_after else None,
            celsius=_celsius(),
            load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        )
    )


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
        siblings = _siblings(core)
        (second if siblings in taken else first).append(core)
        taken.add(siblings)
    return tuple(sorted((first + second)[:count]))


def neighbours(cores: tuple[int, ...]) -> tuple[int, ...]:
    """Other cores that may be on the same physical cores as these.

    Virtual machines mostly hide which those are: there every other core may be.
    """
    every = _all_cores()
    near = {other for core in cores for other in every if _siblings(other) == _siblings(core)}
    hidden = "hypervisor" in _cpuinfo(cores[0] if cores else 0).get("flags", "").split()
    if hidden and near <= set(cores):
        near = set(every)
    return tuple(sorted(near - set(cores)))


@dataclass(frozen=True)
class _Counters:
    """Seconds since the machine or this process started; None where they cannot be read."""

    seconds: float
    waited_s: float | None
    near_busy_s: float | None
    stolen_s: float | None

    @classmethod
    def read(cls, cores: tuple[int, ...], near: tuple[int, ...]) -> _Counters:
        ticks = _ticks()
        known = ticks.keys() >= {*cores, *near} and bool(ticks)
        return cls(
            seconds=time.monotonic(),
            waited_s=_waited_s(),
            near_busy_s=sum(_busy(ticks[core]) for core in near) * _TICK_S if known else None,
            stolen_s=sum(ticks[core][_STEAL] for core in cores) * _TICK_S if known else None,
        )


def _share(before: float | None, after: float | None, seconds: float) -> float | None:
    return None if before is None or after is None else min(1.0, max(0.0, (after - before) / seconds))


def _ticks() -> dict[int, list[int]]:
    """Per core the fields of its line in /proc/stat."""
    lines = [line.split() for line in (_read(_STAT) or "").splitlines() if line.startswith("cpu")]
    return {
        int(name[3:]): list(map(int, fields)) for name, *fields in lines if name[3:].isdigit() and len(fields) > 7
    }


def _busy(ticks: list[int]) -> int:
    return sum(ticks[: _STEAL + 1]) - ticks[_IDLE] - ticks[_IOWAIT]


def _waited_s() -> float | None:
    """Seconds that this process' threads were ready to run and did not."""
    try:
        fields = [(task / "schedstat").read_text().split() for task in _TASKS.iterdir()]
        return sum(int(waited_ns) for _, waited_ns, _ in fields) / 1e9
    except (OSError, ValueError):
        return None


def _celsius() -> float | None:
    """The hottest thermal zone."""
    read = [_read(zone / "temp") for zone in _THERMAL.glob("thermal_zone*")]
    return max((int(value) / 1000 for value in read if value and value.lstrip("-").isdigit()), default=None)


def _slowest_clock(cores: tuple[int, ...]) -> float | None:
    clocks = [_clock_mhz(core) for core in cores]
    return min((clock for clock in clocks if clock is not None), default=None)


def _clock_mhz(core: int) -> float | None:
    khz = _read(_CORES / f"cpu{core}/cpufreq/scaling_cur_freq")
    if khz:
        return int(khz) / 1000
    mhz = _cpuinfo(core).get("cpu MHz")
    return float(mhz) if mhz else None


def _all_cores() -> list[int]:
    return sorted(int(path.name[3:]) for path in _CORES.glob("cpu[0-9]*"))


def _siblings(core: int) -> str:
    return _read(_CORES / f"cpu{core}/topology/thread_siblings_list") or str(core)


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
