"""Energy of one inference, where the device has a meter.

A meter counts joules of a whole processor or GPU, whatever runs on it. So windows in which the network runs
alternate with idle ones, and a network is charged with what its window took above its idle neighbours. A window
begins and ends where the counter moves: a counter that moves ten times a second would otherwise be off by a tenth
of a window of one second.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal, Protocol

from mnas.errors import DeviceError, MeasurementError, SettingsError, needs_extra
from mnas.objective import Energy

_POWERCAP = Path("/sys/class/powercap")
_POLL_S = 0.001  # between looks at the counter while nothing runs
_STANDSTILL_S = 5.0  # a counter that has not moved for so long will not


class Meter(Protocol):
    """Counts the energy of the hardware that a network runs on.

    meter = RaplMeter()
    before = meter.read_joules()
    ...
    meter.read_joules() - before       # 12.3 joules; only differences mean anything
    """

    @property
    def name(self) -> str:
        """What is read, such as "rapl package-0"."""
        ...

    def read_joules(self) -> float:
        """Joules since some moment; never less than before.

        Raises:
            DeviceError: the meter is gone.
        """
        ...


class RaplMeter:
    """The energy counters of Intel's and AMD's processors on Linux: every package, and its memory where that counts.

    `root` is the powercap folder. Of its zones, `psys` is left out, which counts the packages once more, and so are
    `intel-rapl-mmio` zones, which are the packages by another way. Counters begin anew at their range, some minutes
    of full load; it is to be read more often than that.

    Raises:
        SettingsError: there are no counters, or they may not be read.
    """

    def __init__(self, root: Path = _POWERCAP) -> None:
        zones = [_Zone.found(path) for path in sorted(root.glob("intel-rapl:*"))]
        self._zones = [zone for zone in zones if zone.name.startswith("package-") or zone.name == "dram"]
        if not self._zones:
            raise SettingsError(
                f"energy = true needs a meter, and there is none: {root} has no intel-rapl:* zone of a package "
                "(virtual machines have none). Leave energy out"
            )
        self.read_joules()  # what may not be read is refused now

    @property
    def name(self) -> str:
        """The zones that are summed."""
        return "rapl " + "+".join(zone.name for zone in self._zones)

    def read_joules(self) -> float:
        """The sum of the zones, in joules since the first reading."""
        return sum(zone.read_microjoules() for zone in self._zones) / 1e6


@dataclass
class _Zone:
    """One counter, and what it counted before it began anew."""

    path: Path
    name: str
    range_uj: int
    _last_uj: int | None = field(default=None, init=False)
    _total_uj: int = field(default=0, init=False)

    @classmethod
    def found(cls, path: Path) -> _Zone:
        return cls(path, (path / "name").read_text().strip(), int((path / "max_energy_range_uj").read_text()))

    def read_microjoules(self) -> int:
        """Since the first reading."""
        file = self.path / "energy_uj"
        try:
            now_uj = int(file.read_text())
        except PermissionError as error:
            raise SettingsError(
                f"energy = true needs to read {file}, which this user may not (Linux shows it to root alone): "
                f"sudo chmod a+r {file}, or leave energy out"
            ) from error
        except (OSError, ValueError) as error:
            raise DeviceError(f"the energy counter {file} cannot be read any more: {error}") from error
        if self._last_uj is not None:
            self._total_uj += now_uj - self._last_uj + (self.range_uj if now_uj < self._last_uj else 0)
        self._last_uj = now_uj
        return self._total_uj


class NvmlMeter:
    """The energy counter of an NVIDIA GPU (Volta and later), through nvidia-ml-py (extra `mnas[nvml]`).

    `index` is NVML's, which does not follow CUDA_VISIBLE_DEVICES.

    Raises:
        SettingsError: nvidia-ml-py or the driver is missing, or this GPU has no counter.
    """

    def __init__(self, index: int = 0) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise needs_extra("nvidia-ml-py", "nvml") from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            name = pynvml.nvmlDeviceGetName(self._handle)
            pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except pynvml.NVMLError as error:
            raise SettingsError(
                f"energy = true needs the energy counter of GPU {index}, and NVML has none: {error}. Leave energy out"
            ) from error
        self._name = name.decode() if isinstance(name, bytes) else str(name)

    @property
    def name(self) -> str:
        """The GPU's."""
        return f"nvml {self._name}"

    def read_joules(self) -> float:
        """Since the driver was loaded."""
        try:
            millijoules: int = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except self._nvml.NVMLError as error:
            raise DeviceError(f"the energy counter of {self._name} cannot be read any more: {error}") from error
        return millijoules / 1e3


MeterName = Literal["cpu", "cuda"]


def open_meter(where: MeterName) -> Meter:
    """The meter of this machine's processor or of its first GPU.

    Raises:
        SettingsError: there is none, or it may not be read.
    """
    return NvmlMeter() if where == "cuda" else RaplMeter()


@dataclass(frozen=True)
class EnergyPlan:
    """How long to look: so many windows with the network running, and one idle one more."""

    windows: int = 6
    window_s: float = 0.5

    def __post_init__(self) -> None:
        if self.windows < 2:
            raise SettingsError(f"windows should be at least 2, from which an interval follows, got {self.windows}")
        if not self.window_s > 0:
            raise SettingsError(f"window_s should be above zero seconds, got {self.window_s}")


def measure_energy(
    run: Callable[[], object],
    meter: Meter,
    plan: EnergyPlan | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Energy:
    """The energy of one `run` above idle, which must have done its work when it returns, and is warmed up.

        measure_energy(session.run, RaplMeter())      # Energy(millijoules=33.1, low=32.4, high=33.8, ...)

    The estimate is the mean over the windows, the interval Student's t at 95 % of what they differ by. Nothing
    else may run meanwhile: a meter cannot tell whose joules it counts. `clock` and `sleep` are there for tests.

    Raises:
        MeasurementError: the network's energy cannot be told from the idle machine's.
        DeviceError: the meter is gone or stands still.
    """
    plan = plan or EnergyPlan()
    watch = _Watch(meter, clock)
    idle = [watch.window(lambda: sleep(_POLL_S), plan.window_s)]
    running = []
    for _ in range(plan.windows):
        running.append(watch.window(run, plan.window_s))
        idle.append(watch.window(lambda: sleep(_POLL_S), plan.window_s))
    base_watts = [(before.watts + after.watts) / 2 for before, after in itertools.pairwise(idle)]
    above = [(w.joules - base * w.seconds) / w.runs * 1e3 for w, base in zip(running, base_watts, strict=True)]
    half = _t_half_width(above)
    if not fmean(above) - half > 0:
        raise MeasurementError(
            f"the energy of the network cannot be told from the idle machine's: {fmean(above):.3g} mJ per inference, "
            f"give or take {half:.3g}. Measure while nothing else runs"
        )
    return Energy(
        millijoules=fmean(above),
        low=fmean(above) - half,
        high=fmean(above) + half,
        meter=meter.name,
        environment=_environment(plan, running, idle, above),
    )


@dataclass(frozen=True)
class _Window:
    """What the meter counted while something was done again and again."""

    runs: int
    seconds: float
    joules: float

    @property
    def watts(self) -> float:
        return self.joules / self.seconds


@dataclass(frozen=True)
class _Watch:
    """A meter beside a clock."""

    meter: Meter
    clock: Callable[[], float]

    def window(self, run: Callable[[], object], seconds: float) -> _Window:
        """Runs for at least so long, from one movement of the counter to another."""
        _, start, joules = self._until_it_moves(run)
        runs = 0
        while self.clock() - start < seconds:
            run()
            runs += 1
        more, end, last = self._until_it_moves(run)
        return _Window(runs + more, end - start, last - joules)

    def _until_it_moves(self, run: Callable[[], object]) -> tuple[int, float, float]:
        """How many runs that took, when it was, and what the counter showed."""
        before, since, runs = self.meter.read_joules(), self.clock(), 0
        while True:
            run()
            runs += 1
            joules, now = self.meter.read_joules(), self.clock()
            if joules > before:
                return runs, now, joules
            if now - since > _STANDSTILL_S:
                raise DeviceError(f"the energy meter {self.meter.name!r} has not moved for {_STANDSTILL_S:g} s")


def _environment(
    plan: EnergyPlan, running: Sequence[_Window], idle: Sequence[_Window], above: Sequence[float]
) -> Mapping[str, Any]:
    return {
        "idle_watts": [window.watts for window in idle],
        "running_watts": [window.watts for window in running],
        "window_millijoules": list(above),
        "runs": [window.runs for window in running],
        "window_s": plan.window_s,
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _t_half_width(values: Sequence[float]) -> float:
    from scipy.special import stdtrit  # here: the process that only reads a meter's name needs no scipy

    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))
