"""What a phone tells of itself: its cores and their clocks, its temperature, whether it is throttling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mnas.devices._adb import AdbPhone
from mnas.errors import DeviceError, SettingsError

_CORES = "/sys/devices/system/cpu"
_ZONES = "/sys/class/thermal"
# android.os.Temperature's types, in the order of what they say about a CPU that is timed.
_HAL_TYPES = {0: "CPU", 3: "skin", 2: "battery"}


@dataclass(frozen=True)
class PhoneState:
    """One moment of a phone. None or an empty list is what it does not tell."""

    temperature_c: float | None
    sensor: str | None
    thermal_status: int | None  # Android's own: 0 is none, 1 light throttling, up to 6
    governor: str | None
    clock_mhz: tuple[float, ...] = ()  # of the cores that are timed on
    clock_cap_mhz: tuple[float, ...] = ()  # what the system lets them have: thermal limits lower it

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def throttled_since(self, before: PhoneState) -> str | None:
        """Why the phone throttles now, or did not before; None where nothing says so."""
        if self.thermal_status:
            return f"Android reports thermal status {self.thermal_status}"
        for cap, earlier in zip(self.clock_cap_mhz, before.clock_cap_mhz, strict=False):
            if cap < earlier:
                return f"the highest clock fell from {earlier:g} to {cap:g} MHz"
        return None


def read_state(phone: AdbPhone, cores: Sequence[int]) -> PhoneState:
    """The phone's state, with the clocks of these cores."""
    thermal = phone.output("dumpsys", "thermalservice") or ""
    temperature, sensor = _hal_temperature(thermal) or _zone_temperature(phone) or _battery(phone) or (None, None)
    status = re.search(r"^Thermal Status: (\d+)\s*$", thermal, re.MULTILINE)
    folders = [f"{_CORES}/cpu{core}/cpufreq" for core in cores]
    names = ("scaling_governor", "scaling_cur_freq", "scaling_max_freq")
    values = phone.values(*(f"{folder}/{name}" for folder in folders for name in names))
    governors = {values[path] for folder in folders if (path := f"{folder}/scaling_governor") in values}
    return PhoneState(
        temperature_c=temperature,
        sensor=sensor,
        thermal_status=int(status[1]) if status else None,
        governor=", ".join(sorted(governors)) or None,
        clock_mhz=_mhz(values, folders, "scaling_cur_freq"),
        clock_cap_mhz=_mhz(values, folders, "scaling_max_freq"),
    )


def fastest_cores(phone: AdbPhone, count: int) -> tuple[int, ...]:
    """The cores with the highest clocks, the last ones among equals.

    Raises:
        SettingsError: the phone has fewer cores.
        DeviceError: it does not tell its clocks.
    """
    online = online_cores(phone)
    if count > len(online):
        raise SettingsError(f"threads should be at most the phone's {len(online)} cores, got {count}")
    paths = {core: f"{_CORES}/cpu{core}/cpufreq/cpuinfo_max_freq" for core in online}
    values = phone.values(*paths.values())
    clocks = {core: int(values[path]) for core, path in paths.items() if path in values}
    if not clocks:
        raise DeviceError(f"phone {phone.serial!r} does not tell its cores' clocks: name them, as in cores = [7]")
    ranked = sorted(clocks, key=lambda core: (clocks[core], core), reverse=True)
    return tuple(sorted(ranked[:count]))


def online_cores(phone: AdbPhone) -> tuple[int, ...]:
    """The cores that are switched on.

    Raises:
        DeviceError: the phone does not tell.
    """
    path = f"{_CORES}/online"
    ranges = phone.values(path).get(path, "")
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", ranges):
        raise DeviceError(f"phone {phone.serial!r} should tell its cores in {path}, as in 0-7, and told {ranges!r}")
    bounds = (part.partition("-") for part in ranges.split(","))
    return tuple(core for low, dash, high in bounds for core in range(int(low), int(high if dash else low) + 1))


def affinity_mask(cores: Sequence[int]) -> str:
    """The cores as the mask that `taskset` takes.

    >>> affinity_mask((4, 5, 6, 7))
    'f0'
    """
    return f"{sum(1 << core for core in set(cores)):x}"


def check_affinity(phone: AdbPhone, cores: Sequence[int]) -> None:
    """Sees whether the phone really keeps a process on these cores.

    Raises:
        DeviceError: it does not.
    """
    mask = affinity_mask(cores)
    reply = phone.run("taskset", mask, "grep", "Cpus_allowed:", "/proc/self/status")
    told = reply.out.partition(":")[2].strip().replace(",", "")
    if reply.code or not told or int(told, 16) != int(mask, 16):
        raise DeviceError(
            f"phone {phone.serial!r} does not keep processes on cores {list(cores)} (mask {mask}): {reply.tail}. "
            "Name cores that are on and allowed, as in cores = [4]"
        )


def _mhz(values: Mapping[str, str], folders: Sequence[str], name: str) -> tuple[float, ...]:
    """One value per core; empty where one is missing."""
    found = tuple(int(values[path]) / 1000 for folder in folders if (path := f"{folder}/{name}") in values)
    return found if len(found) == len(folders) else ()


def _hal_temperature(dump: str) -> tuple[float, str] | None:
    """From `dumpsys thermalservice` (Android 10 and newer): the live values, not the cached ones above them."""
    live = dump.partition("Current temperatures from HAL:")[2].partition("Current cooling devices")[0]
    found = re.findall(r"Temperature\{mValue=(-?[\d.]+), mType=(\d+), mName=([^,}]+)", live)
    for kind, name in _HAL_TYPES.items():
        values = [float(value) for value, its, _ in found if int(its) == kind]
        if values:
            return max(values), f"{name} (thermalservice)"
    return None


def _zone_temperature(phone: AdbPhone) -> tuple[float, str] | None:
    """The hottest thermal zone of the CPU, where the phone lets its shell read them."""
    zones = [f"{_ZONES}/{name}" for name in phone.names(_ZONES) if name.startswith("thermal_zone")]
    values = phone.values(*(f"{zone}/{file}" for zone in zones for file in ("type", "temp")))
    found = []
    for zone in zones:
        kind, millidegrees = values.get(f"{zone}/type", ""), values.get(f"{zone}/temp", "")
        if "cpu" in kind.lower() and re.fullmatch(r"\d+", millidegrees) and 0 < int(millidegrees) < 150_000:
            found.append((int(millidegrees) / 1000, f"{kind} (thermal zone)"))
    return max(found, default=None)


def _battery(phone: AdbPhone) -> tuple[float, str] | None:
    tenths = re.search(r"^\s*temperature: (\d+)\s*$", phone.output("dumpsys", "battery") or "", re.MULTILINE)
    return (int(tenths[1]) / 10, "battery (dumpsys battery)") if tenths else None
