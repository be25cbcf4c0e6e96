"""Pool: several units of one kind of device, for a search that measures on all of them side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from statistics import median

from mnas.devices._contract import Device, DeviceInfo, measure_together
from mnas.devices._gate import REFERENCE
from mnas.errors import DeviceError, MeasurementError, SettingsError
from mnas.objective import Latency
from mnas.space import Architecture

TOLERANCE = 0.05  # that a unit's time for the reference network may be away from its siblings'


class Pool:
    """Several units of one kind, each leased to one job at a time.

        pool = Pool([SshDevice("pi@a"), SshDevice("pi@b"), SshDevice("pi@c")])
        pool.measure(architecture).environment["unit"]      # "pi@b"
        pool.info().slots                                   # 3: so many may be measured side by side
        pool.info().notes                                   # which units were set aside, and why

    Before the first measurement and after each `check_every`, all units time `REFERENCE`. One that is more than 5 %
    away from the median of its siblings is set aside, the worst first; of two, the slower one, for what disturbs a
    device makes it slower. A unit that raises DeviceError is set aside too, and its job goes to another unit. When
    none is left, the measurement raises DeviceError, and the next one tries again those that were gone.

    `measure` may be called from several threads.

    Raises:
        SettingsError: no units, or units that are not of one kind, that is, whose fingerprints differ.
    """

    def __init__(self, units: Sequence[Device], check_every: int = 50) -> None:
        if not units or not all(hasattr(device, "measure") for device in units):
            raise SettingsError(
                'pool should be given units as a list of tables with a name, such as units = [{name = "ssh", '
                f'address = "pi@a"}}, {{name = "ssh", address = "pi@b"}}], got {units!r}'
            )
        if check_every < 1:
            raise SettingsError(f"check_every should be at least 1 measurement, got {check_every}")
        self.check_every = check_every
        self._units = [_Unit(number, device) for number, device in enumerate(units, start=1)]
        self._unchecked = check_every  # measurements since the last check
        self._is_checking = False
        self._changed = threading.Condition()

    def info(self) -> DeviceInfo:
        """The units' common kind: its fingerprint is theirs, so that a run may go on with other units of it.

        Raises:
            SettingsError: two units are of different kinds.
            DeviceError: all of them are gone.
        """
        with self._changed:
            self._introduce()
            known = [unit.info for unit in self._units if unit.info]
            if not known:
                raise self._nobody_left()
            usable = len(self._usable())
            details = {key: value for key, value in known[0].details.items() if key != "address"}
            aside = {unit.name: unit.aside for unit in self._units if unit.aside}
            return replace(
                known[0],
                name="pool",
                details=details | {"units": [unit.name for unit in self._units], "set_aside": aside},
                slots=1 if known[0].exclusive else max(1, usable),
                notes=self._notes(),
            )

    def measure(self, architecture: Architecture) -> Latency:
        """The latency on the unit that is free first; the environment has its name as `unit`.

        Raises:
            MeasurementError: this architecture cannot be measured.
            DeviceError: no unit is left.
        """
        return self._on_a_unit(lambda device: [device.measure(architecture)])[0]

    def measure_together(self, architectures: Sequence[Architecture], processes: int) -> list[Latency]:
        """Latencies that are to be compared: all of them on one unit.

        Raises:
            MeasurementError, DeviceError: as `measure`.
        """
        return self._on_a_unit(lambda device: measure_together(device, architectures, processes))

    def _on_a_unit(self, job: Callable[[Device], list[Latency]]) -> list[Latency]:
        self._recall_the_gone()
        while True:
            unit = self._lease()
            try:
                return [self._signed(latency, unit) for latency in job(unit.device)]
            except DeviceError as error:
                unit.set_aside(f"it is gone: {error}", is_gone=True)
            finally:
                self._give_back(unit)

    def _recall_the_gone(self) -> None:
        with self._changed:
            if not self._usable():
                for unit in self._units:
                    unit.recall()
                self._unchecked = self.check_every

    def _lease(self) -> _Unit:
        """A unit that is free, waiting for one; after a check of all of them, if that is due."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: not self._is_checking)
                if self._unchecked >= self.check_every:
                    self._check()
                usable = self._usable()
                if not usable:
                    raise self._nobody_left()
                free = [unit for unit in usable if not unit.is_leased]
                if free:
                    free[0].is_leased = True
                    self._unchecked += 1
                    return free[0]
                self._changed.wait()

    def _give_back(self, unit: _Unit) -> None:
        with self._changed:
            unit.is_leased = False
            self._changed.notify_all()

    def _signed(self, latency: Latency, unit: _Unit) -> Latency:
        """With the unit's name, and what is to be said of its siblings."""
        notes = [*latency.environment.get("notes", ()), *self._notes()]
        environment = {**latency.environment, "unit": unit.name} | ({"notes": notes} if notes else {})
        return replace(latency, environment=environment)

    def _notes(self) -> tuple[str, ...]:
        return tuple(f"unit {unit.name} is set aside: {unit.aside}" for unit in self._units if unit.aside)

    def _usable(self) -> list[_Unit]:
        return [unit for unit in self._units if not unit.aside]

    def _nobody_left(self) -> DeviceError:
        reasons = "; ".join(f"{unit.name}: {unit.aside}" for unit in self._units)
        return DeviceError(f"no unit of the pool is left. {reasons}")

    def _introduce(self) -> None:
        """Ask units that are still unknown what they are; all must be of one kind."""
        with ThreadPoolExecutor(len(self._units)) as threads:  # boards take seconds to answer
            list(threads.map(_Unit.introduce, [unit for unit in self._usable() if unit.info is None]))
        known = [unit for unit in self._units if unit.info]
        for unit in known[1:]:
            if unit.fingerprint != known[0].fingerprint:
                raise SettingsError(
                    "the units of a pool should be of one kind, but these are not:\n"
                    f"  {known[0].name}: {known[0].fingerprint}\n  {unit.name}: {unit.fingerprint}\n"
                    "Make a pool of each kind, or take worst-of for different devices"
                )

    def _check(self) -> None:
        """Once all units are free: set aside those that disagree. Called with the lock held."""
        self._is_checking = True
        try:
            self._changed.wait_for(lambda: not any(unit.is_leased for unit in self._units))
            self._introduce()
            _set_aside_who_disagree(self._timed_reference())
        finally:
            self._is_checking, self._unchecked = False, 0
            self._changed.notify_all()

    def _timed_reference(self) -> dict[_Unit, float]:
        """The units' times for the reference network, in ms; empty where nobody has siblings."""
        usable = self._usable()
        if len(usable) < 2:
            return {}
        alone = any(unit.info and unit.info.exclusive for unit in usable)
        with ThreadPoolExecutor(1 if alone else len(usable)) as threads:
            found = list(threads.map(_Unit.time_reference, usable))
        return {unit: ms for unit, ms in zip(usable, found, strict=True) if ms is not None}


@dataclass(eq=False)
class _Unit:
    """One unit, and how it stands."""

    number: int
    device: Device
    info: DeviceInfo | None = None  # None: not asked yet, or gone before it told
    aside: str = ""  # why it is set aside; empty: it is not
    is_gone: bool = False  # set aside because it went away; it may come back
    is_leased: bool = False

    @property
    def name(self) -> str:
        """Its address, else its device's name and number."""
        details = self.info.details if self.info else {}
        known = details.get("address") or getattr(self.device, "address", None)
        return str(known or f"{self.info.name if self.info else 'unit'} {self.number}")

    @property
    def fingerprint(self) -> str:
        return self.info.fingerprint if self.info else ""

    def introduce(self) -> None:
        try:
            self.info = self.device.info()
        except DeviceError as error:
            self.set_aside(f"it is gone: {error}", is_gone=True)

    def time_reference(self) -> float | None:
        """Milliseconds; None, and it is set aside, where it cannot."""
        try:
            return self.device.measure(REFERENCE).latency_ms
        except DeviceError as error:
            self.set_aside(f"it is gone: {error}", is_gone=True)
        except MeasurementError as error:
            self.set_aside(f"it cannot time the reference network: {error}")
        return None

    def set_aside(self, why: str, is_gone: bool = False) -> None:
        self.is_gone, self.aside = is_gone, why

    def recall(self) -> None:
        """Back into the pool if it was set aside because it went away."""
        if self.is_gone:
            self.aside, self.is_gone = "", False


def _set_aside_who_disagree(times_ms: dict[_Unit, float]) -> None:
    """One after the other, the worst first: it also spoils what its siblings are compared with."""
    left = dict(times_ms)
    while len(left) > 1:
        siblings_ms = {unit: median(ms for other, ms in left.items() if other is not unit) for unit in left}
        apart = {unit: abs(left[unit] / siblings_ms[unit] - 1) for unit in left}
        worst = max(apart, key=lambda unit: apart[unit])
        if apart[worst] <= TOLERANCE:
            return
        worst.set_aside(
            f"it takes {left[worst]:.4g} ms for the reference network where its siblings take "
            f"{siblings_ms[worst]:.4g} ms, {100 * apart[worst]:.1f} % apart, where {100 * TOLERANCE:.0f} % is allowed"
        )
        del left[worst]
