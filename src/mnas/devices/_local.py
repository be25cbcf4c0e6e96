"""LocalDevice: this machine's CPU."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnas.devices import _host
from mnas.devices._candidate import Candidate
from mnas.devices._child import Child
from mnas.devices._contract import DeviceInfo
from mnas.devices._interval import Drift, Interval
from mnas.devices._timing import PROTOCOL, STATISTIC, Timing, TimingPlan
from mnas.devices.runtimes import RUNTIMES
from mnas.errors import SettingsError, did_you_mean
from mnas.objective import Latency
from mnas.space import Architecture

CALIBRATION_PROCESSES = 5


class LocalDevice:
    """Latency of one input on this machine's CPU, timed in processes of its own.

        LocalDevice().measure(architecture)               # in a search: one process stays for all networks
        LocalDevice(processes=5).measure(architecture)    # by itself: five fresh processes for this network

    With one process, the width of the interval comes from `drift`, the relative standard deviation between
    processes. Unless it is given, the first measurement finds it, by timing its network in five fresh ones.
    With several, the interval is what those of the measurement differ by.

    Every network gets the same seeded weights and input, and its outputs must equal torch's within the
    runtime's tolerance. `limit_s` bounds the time one process may take for one network. Timing processes end
    with `close()`, with the device, and with the process that made it, however that ends.

    Raises:
        SettingsError: unknown or missing runtime, more threads than cores, or a number out of range.
    """

    def __init__(
        self,
        runtime: str = "onnxruntime",
        threads: int = 1,
        processes: int = 1,
        drift: float | None = None,
        limit_s: float = 60.0,
    ) -> None:
        if runtime not in RUNTIMES:
            raise did_you_mean("runtime", runtime, RUNTIMES)
        self.runtime = RUNTIMES[runtime]
        _check_installed(self.runtime.package)
        _check_at_least("processes", processes, 1)
        if drift is not None and not 0 <= drift < 1:
            raise SettingsError(f"drift should be a relative standard deviation from 0 to below 1, got {drift}")
        if not limit_s > 0:
            raise SettingsError(f"limit_s should be above zero seconds, got {limit_s}")
        self.cores = _cores(threads)
        self.threads = threads
        self.processes = processes
        self.limit_s = limit_s
        self.plan = TimingPlan()
        self._drift = None if drift is None else Drift(drift)
        self._child: Child | None = None
        self._version: str | None = None

    def info(self) -> DeviceInfo:
        """The CPU, the runtime with its version, the precision and the number of threads.

        Raises:
            DeviceError: no timing process can be started.
        """
        if self._version is None:
            self._start().close()
        cpu = _host.cpu_model(self.cores[0] if self.cores else 0)
        details = {
            "runtime": self.runtime.name,
            "runtime_version": self._version,
            "precision": self.runtime.precision,
            "threads": self.threads,
            "cpu": cpu,
            "os": platform.platform(),
        }
        parts = ("cpu", self.runtime.name, self._version, self.runtime.precision, f"threads={self.threads}", cpu)
        fingerprint = " ".join(map(str, (*parts, f"protocol={PROTOCOL}")))
        return DeviceInfo("cpu", fingerprint, details, exclusive=True)

    def measure(self, architecture: Architecture) -> Latency:
        """The latency of one input, with its interval at 95 %, every sample and the circumstances.

        Raises:
            MeasurementError: the network does not run, its outputs are wrong, it takes longer than `limit_s`
                or its process dies.
            DeviceError: no timing process can be started.
        """
        if self.processes > 1:
            return self.measure_together((architecture,), self.processes)[0]
        state = _host.core_state(self.cores or ())  # before this adds to the load
        candidate = Candidate.convert(architecture, self.runtime)
        drift = self._drift_from(architecture, candidate)
        result = self._time(self._running_child(), candidate)
        interval = Interval.of_one_process(result.timing, drift)
        return self._latency(candidate, [result], interval, STATISTIC, state)

    def measure_together(self, architectures: Sequence[Architecture], processes: int) -> list[Latency]:
        """Latencies that are to be compared: each network in so many fresh processes, round after round.

        What drifts over minutes so meets all of them alike.

        Raises:
            MeasurementError, DeviceError: as `measure`.
        """
        state = _host.core_state(self.cores or ())
        candidates = [Candidate.convert(architecture, self.runtime) for architecture in architectures]
        rounds = [[self._in_fresh_process(candidate) for candidate in candidates] for _ in range(processes)]
        statistic = f"geometric mean over processes of the {STATISTIC}"
        latencies = []
        for candidate, results in zip(candidates, zip(*rounds, strict=True), strict=True):
            interval = Interval.over_processes([result.timing for result in results])
            latencies.append(self._latency(candidate, results, interval, statistic, state))
        return latencies

    def close(self) -> None:
        """Ends the timing process, if there is one. The next measurement starts another."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def __enter__(self) -> LocalDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drift_from(self, architecture: Architecture, candidate: Candidate) -> Drift:
        """What processes are known to differ by; found out on this candidate if nobody has before."""
        if self._drift is None:
            results = [self._in_fresh_process(candidate) for _ in range(CALIBRATION_PROCESSES)]
            self._drift = Drift.calibrated(str(architecture), [result.timing for result in results])
        return self._drift

    def _in_fresh_process(self, candidate: Candidate) -> _Result:
        with self._start() as child:
            return self._time(child, candidate)

    def _time(self, child: Child, candidate: Candidate) -> _Result:
        header = {"shape": candidate.images.shape, "plan": dataclasses.asdict(self.plan)}
        reply, (output,) = child.ask(header, candidate.model, candidate.images.tobytes(), limit_s=self.limit_s)
        timing = Timing(**{**reply["timing"], "samples_ms": tuple(reply["timing"]["samples_ms"])})
        difference = candidate.check(output, reply["shape"], self.runtime.tolerance)
        return _Result(timing, reply["load_seconds"], reply["timing_seconds"], difference, child.cores)

    def _running_child(self) -> Child:
        if self._child is None or not self._child.answers():
            self.close()
            self._child = self._start()
        return self._child

    def _start(self) -> Child:
        child = Child(self.runtime.name, self.threads, self.cores)
        self._version = child.version
        return child

    def _latency(
        self,
        candidate: Candidate,
        results: Sequence[_Result],
        interval: Interval,
        statistic: str,
        state: dict[str, Any],
    ) -> Latency:
        return Latency(
            latency_ms=interval.estimate_ms,
            low_ms=interval.low_ms,
            high_ms=interval.high_ms,
            statistic=statistic,
            device=self.info().fingerprint,
            samples_ms=tuple(sample for result in results for sample in result.timing.samples_ms),
            environment=self._environment(candidate, results) | state | {"interval": interval.origin},
        )

    def _environment(self, candidate: Candidate, results: Sequence[_Result]) -> dict[str, Any]:
        """Lists have one value per process."""
        timings = [result.timing for result in results]
        return {
            **self.info().details,
            "tolerance": self.runtime.tolerance,
            "conversion_seconds": candidate.conversion_seconds,
            "model_bytes": len(candidate.model),
            "cores": results[0].cores,
            "process_latency_ms": [timing.latency_ms for timing in timings],
            "blocks": [len(timing.samples_ms) for timing in timings],
            "runs_per_block": [timing.runs_per_block for timing in timings],
            "warm_up_runs": [timing.warm_up_runs for timing in timings],
            "agreed": [timing.agreed for timing in timings],
            "load_seconds": [result.load_seconds for result in results],
            "timing_seconds": [result.timing_seconds for result in results],
            "output_difference": [result.difference for result in results],
        }


@dataclass(frozen=True)
class _Result:
    """What one process gave."""

    timing: Timing
    load_seconds: float
    timing_seconds: float  # warm-up included
    difference: float  # of the outputs from torch's
    cores: list[int] | None  # that it was kept on


def _cores(threads: int) -> tuple[int, ...] | None:
    _check_at_least("threads", threads, 1)
    cores = _host.available_cores()
    count = len(cores) if cores else os.cpu_count() or 1
    if threads > count:
        raise SettingsError(f"threads should be at most the {count} cores that this process may use, got {threads}")
    return _host.pick_cores(cores, threads) if cores else None


def _check_installed(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise SettingsError(f"runtime {package!r} is not installed: pip install {package}")


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise SettingsError(f"{name} should be at least {least}, got {value}")
