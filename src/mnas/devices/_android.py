"""AndroidDevice: a phone, through adb and the benchmark program of its runtime."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import time
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnas.devices._adb import AdbPhone, PhoneTimeoutError
from mnas.devices._candidate import Candidate
from mnas.devices._contract import DeviceInfo, ModelFile
from mnas.devices._conversions import Conversions
from mnas.devices._interval import Interval
from mnas.devices._phone_output import COULD_NOT_START
from mnas.devices._phone_state import (
    PhoneState,
    affinity_mask,
    check_affinity,
    fastest_cores,
    online_cores,
    read_state,
)
from mnas.devices._phone_tensors import Tensors
from mnas.devices._phone_tools import TOOLS, Tool, ToolFiles, ToolPlan, ToolRun, executable_abi
from mnas.devices._turn import Turn
from mnas.devices.runtimes import Runtime, check_installed, find_runtime
from mnas.errors import DeviceError, MeasurementError, SettingsError, did_you_mean
from mnas.objective import Latency
from mnas.space import Architecture

PROTOCOL = 2  # counts up when the same network on the same phone would be given another latency
_STATISTIC = "trimmed geometric mean over processes of the fastest run"
_HOME = "/data/local/tmp"  # the one place where adb's user may write and execute
_TOOL_VARIABLE = "MNAS_ADB_TOOL"  # so that an address alone can be enough
_LEAST_WIDTH = 0.02  # what differs between minutes alone makes this much
_LEAST_PROCESSES = 3  # with two, an interval is a guess


class AndroidDevice:
    """Latency of one input on a phone, timed by the benchmark program of the phone's runtime.

        device = AndroidDevice("39121FDJH003", tool="build/android/benchmark_model")
        device.measure(architecture)

    `address` is the serial that `adb devices` shows. `tool` is LiteRT's `benchmark_model` or ExecuTorch's
    `executor_runner`, built for the phone; by default what the environment variable MNAS_ADB_TOOL names. It runs
    in `processes` fresh processes, kept on the fastest cores (or on `cores`), and in more, up to
    `max_processes`, until the interval's half-width is at most `half_width` of the latency. Before each attempt
    the phone cools to `max_celsius` (0: it is not asked). What stays too wide, or was throttled, is tried again
    until `patience_s` is over, and then refused. `runtime` may be an object too; its precision then counts.

    Files go into one folder of the phone and are removed with `close()`, with the device, or as Python ends.

    Raises:
        SettingsError: adbutils is not installed; an unknown runtime; a tool that is none; a number out of range.
    """

    def __init__(
        self,
        address: str,
        tool: str | Path | None = None,
        runtime: str | Runtime = "litert",
        precision: str = "fp32",
        threads: int = 1,
        cores: Sequence[int] | None = None,
        processes: int = 5,
        max_processes: int = 15,
        runs: int = 50,
        seconds: float = 1.0,
        half_width: float = 0.03,
        max_celsius: float = 50.0,
        patience_s: float = 180.0,
        limit_s: float = 60.0,
    ) -> None:
        self.serial = address
        self.runtime = find_runtime(runtime, precision) if isinstance(runtime, str) else runtime
        self.conversions = Conversions(self.runtime)
        self.tool = _tool(self.runtime)
        check_installed(self.runtime, runs_here=False)
        self.tool_path = _tool_path(tool, self.tool)
        self.tool_abi = executable_abi(self.tool_path)
        if cores is not None and len(set(cores)) < threads:
            raise SettingsError(f"cores should be at least the {threads} of threads, got {list(cores)}")
        _check(threads >= 1, "threads", "at least 1", threads)
        _check(processes >= _LEAST_PROCESSES, "processes", f"at least {_LEAST_PROCESSES}", processes)
        _check(max_processes >= processes, "max_processes", f"at least processes = {processes}", max_processes)
        _check(runs >= 1, "runs", "at least 1", runs)
        _check(seconds >= 0, "seconds", "0 or more", seconds)
        _check(_LEAST_WIDTH < half_width < 1, "half_width", f"a share from {_LEAST_WIDTH:g} to 1", half_width)
        _check(max_celsius >= 0, "max_celsius", "0 (not asked) or more", max_celsius)
        _check(patience_s >= 0, "patience_s", "0 or more seconds", patience_s)
        _check(limit_s > seconds, "limit_s", f"more than seconds = {seconds:g}", limit_s)
        self.plan = ToolPlan(threads, runs, seconds, limit_s)
        self.processes, self.max_processes = processes, max_processes
        self.half_width = half_width
        self.max_celsius = max_celsius
        self.patience_s = patience_s
        self.pause_s = 5.0  # between two looks at the temperature, and before another attempt
        self._cores = tuple(sorted(set(cores))) if cores is not None else None
        self._turn = Turn(f"phone {address!r}", f"adb {address}")
        self._folder = f"{_HOME}/mnas-{uuid.uuid4().hex[:12]}"
        self._session: _Session | None = None
        self._info: DeviceInfo | None = None
        self._end: weakref.finalize[..., AndroidDevice] | None = None

    def info(self) -> DeviceInfo:
        """The phone's model, chip, Android and ABI; the runtime, precision, threads, cores and tool.

        Raises:
            DeviceError: the phone is not there or cannot be used.
            SettingsError: the tool is for another ABI; cores that the phone does not have.
        """
        if self._info is None:
            self._connected()
        assert self._info is not None
        return self._info

    def measure(self, architecture: Architecture) -> Latency:
        """The latency of one input, with its interval at 95 % and the circumstances.

        Raises:
            MeasurementError: the tool does not run the network, takes longer than `limit_s`, or its outputs
                are wrong.
            DeviceError: the phone went away, stays hot, or gives no figure that can be trusted.
            SettingsError: the tool does not start or prints what is not known of it.
        """
        self._connected()  # first: it takes less time than a conversion
        return self._measure(self.conversions.candidate(architecture))

    def measure_file(self, file: ModelFile) -> Latency:
        """The latency of a file of this phone's runtime and precision, as `mnas export` writes them.

        Raises:
            MeasurementError, DeviceError, SettingsError: as `measure`; the file is in another precision, or has
                several outputs, as a detector's: the tools do not say in which order they write them.
        """
        if any(len(outputs) > 1 for outputs in file.outputs):
            raise MeasurementError(f"{self.tool.name} does not say which of a file's several outputs it writes first")
        return self._measure(Candidate.of_file(file, self.runtime))

    def _measure(self, candidate: Candidate) -> Latency:
        session = self._connected()
        try:
            with self._turn.taken():
                return self._measured(session, candidate)
        except DeviceError:
            self._session = None  # it may be gone: the next measurement looks for it, and sends the tool anew
            raise

    def close(self) -> None:
        """Removes what was put on the phone, if it can still be reached. The next measurement puts it there again."""
        self.conversions.close()
        self._session = None
        if self._end is not None:
            self._end()
            self._end = None

    def __enter__(self) -> AndroidDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _measured(self, session: _Session, candidate: Candidate) -> Latency:
        deadline = time.monotonic() + self.patience_s
        session.place(candidate, Tensors.of(self.runtime, candidate.model))
        while True:
            before = self._cool(session, deadline)
            attempt = self._attempt(session, candidate, before)
            refusal = attempt.refusal(self.half_width)
            if refusal is None:
                return self._latency(candidate, attempt)
            if time.monotonic() >= deadline:
                raise DeviceError(
                    f"phone {self.serial!r} gives no latency that can be trusted within patience_s = "
                    f"{self.patience_s:g} seconds: {refusal}"
                )
            time.sleep(self.pause_s)

    def _cool(self, session: _Session, deadline: float) -> PhoneState:
        """Waits until the phone is cool and does not throttle; its state then."""
        while True:
            state = session.state()
            if not self.max_celsius:
                return state
            if state.temperature_c is None:
                raise SettingsError(
                    f"phone {self.serial!r} does not tell its temperature: max_celsius = 0 measures without"
                )
            if state.temperature_c <= self.max_celsius and not state.thermal_status:
                return state
            if time.monotonic() >= deadline:
                raise DeviceError(
                    f"phone {self.serial!r} stays at {state.temperature_c:.1f} °C ({state.sensor}, thermal status "
                    f"{state.thermal_status}), where max_celsius = {self.max_celsius:g} is allowed: cool it, or wait "
                    f"longer than patience_s = {self.patience_s:g}"
                )
            time.sleep(self.pause_s)

    def _attempt(self, session: _Session, candidate: Candidate, before: PhoneState) -> _Attempt:
        """So many processes as it takes to know the latency well enough, or as are allowed."""
        first = session.time(self.plan)
        checked = self._check_outputs(session, candidate, first)
        runs = [first, *(session.time(self.plan) for _ in range(self.processes - 1))]
        while len(runs) < self.max_processes and self._interval(runs).half_width > self.half_width:
            runs.append(session.time(self.plan))
        return _Attempt(runs, self._interval(runs), before, session.state(), checked)

    def _interval(self, runs: Sequence[ToolRun]) -> Interval:
        """Over the processes, wider by what the tool rounds its times to."""
        found = Interval.over_processes([run.latency_ms for run in runs])
        half = math.hypot(found.half_width, self.tool.resolution_ms / found.estimate_ms)
        origin = {**found.origin, "resolution_ms": self.tool.resolution_ms}
        return Interval(
            found.estimate_ms, found.estimate_ms * math.exp(-half), found.estimate_ms * math.exp(half), origin
        )

    def _check_outputs(self, session: _Session, candidate: Candidate, run: ToolRun) -> dict[str, Any]:
        """What is known of the outputs' correctness, and why not more."""
        if run.unknown:
            why = f"this {self.tool.name} does not know {', '.join(run.unknown)}"
            return {"outputs_checked": False, "outputs_checked_why": why, "output_difference": None}
        output = session.output()
        if output is None:
            raise MeasurementError(f"{self.tool.name} wrote no outputs, so nobody knows whether they are right")
        shape = candidate.expected[:1].shape
        values = session.tensors.decode(output, math.prod(shape))
        difference = candidate.check(values.tobytes(), shape, self.runtime.tolerance)
        self.conversions.keep(candidate)
        why = f"{self.tool.name} wrote them on the phone after its runs; they equal torch's within the tolerance"
        return {"outputs_checked": True, "outputs_checked_why": why, "output_difference": difference}

    def _latency(self, candidate: Candidate, attempt: _Attempt) -> Latency:
        runs = attempt.runs
        environment = {
            **self.info().details,
            **candidate.details,
            "load_ms": [run.load_ms for run in runs],
            "process_latency_ms": [run.latency_ms for run in runs],
            "process_mean_ms": [run.mean_ms for run in runs],
            "runs": [run.runs for run in runs],
            "warm_up_runs": [run.warm_up_runs for run in runs],
            "delegate": runs[0].delegate,
            "before": attempt.before.as_json(),
            "after": attempt.after.as_json(),
            "tolerance": self.runtime.tolerance,
            **attempt.checked,
            "interval": attempt.interval.origin,
        }
        return Latency(
            latency_ms=attempt.interval.estimate_ms,
            low_ms=attempt.interval.low_ms,
            high_ms=attempt.interval.high_ms,
            statistic=_STATISTIC,
            device=self.info().fingerprint,
            samples_ms=tuple(sample for run in runs for sample in run.samples_ms),
            environment=environment,
        )

    def _connected(self) -> _Session:
        """The running session, or a new one: the phone found, its ABI and cores checked, the tool on it."""
        if self._session is None:
            phone = AdbPhone(self.serial)
            properties = phone.properties()
            _check_abi(self.tool_path, self.tool_abi, phone.serial, properties)
            cores = _checked_cores(phone, self._cores, self.plan.threads)
            tool = self.tool_path.read_bytes()
            self._info = self._described(properties, cores, tool)
            if self._end is None:
                self._end = weakref.finalize(self, _remove, self.serial, self._folder, os.getpid())
            self._session = _Session(phone, self.tool, tool, self._folder, cores)
        return self._session

    def _described(self, properties: dict[str, str], cores: Sequence[int], tool: bytes) -> DeviceInfo:
        details: dict[str, Any] = {
            "runtime": self.runtime.name,
            "precision": self.runtime.precision,
            "threads": self.plan.threads,
            "phone": properties.get("ro.product.model"),
            "manufacturer": properties.get("ro.product.manufacturer"),
            "soc": properties.get("ro.soc.model") or properties.get("ro.board.platform"),
            "android": properties.get("ro.build.version.release"),
            "build": properties.get("ro.build.fingerprint"),
            "abi": self.tool_abi,
            "serial": self.serial,
            "cores": list(cores),
            "affinity_mask": affinity_mask(cores),
            "tool": self.tool.name,
            "tool_sha256": hashlib.sha256(tool).hexdigest(),
        }
        fingerprint = (
            f"adb {details['phone']} {details['soc']} Android {details['android']} {self.tool_abi} "
            f"{self.runtime.name} {self.runtime.precision} threads={self.plan.threads} "
            f"mask={details['affinity_mask']} tool={details['tool_sha256'][:12]} protocol={PROTOCOL}"
        )
        return DeviceInfo("adb", fingerprint, details)


class _Session:
    """A phone with the tool on it."""

    def __init__(self, phone: AdbPhone, tool: Tool, program: bytes, folder: str, cores: Sequence[int]) -> None:
        self._phone, self._tool, self._cores, self._folder = phone, tool, tuple(cores), folder
        self._program = f"{folder}/{tool.name}"
        self._files = ToolFiles(f"{folder}/model", f"{folder}/images", f"{folder}/output")
        self._shape: tuple[int, ...] = ()
        self.tensors = Tensors()  # of the network that lies there
        phone.make_folder(folder)
        phone.push(program, self._program, executable=True)

    def place(self, candidate: Candidate, tensors: Tensors) -> None:
        """Sends a network and its input, and removes the outputs of the one before."""
        self._phone.remove(self._output)
        self._phone.push(candidate.model, self._files.model)
        self._phone.push(tensors.encode(candidate.timed_images), self._files.images)
        self._shape, self.tensors = candidate.timed_images.shape, tensors

    def state(self) -> PhoneState:
        """The phone now."""
        return read_state(self._phone, self._cores)

    def time(self, plan: ToolPlan) -> ToolRun:
        """The network in one fresh process."""
        # exec: the phone hangs up on the process that it started, and a shell in between would die alone.
        words = ["exec", "taskset", affinity_mask(self._cores), self._program]
        words += self._tool.arguments(self._files, self._shape, plan)
        try:
            reply = self._phone.run(*words, limit_s=plan.limit_s)
        except PhoneTimeoutError as error:
            self._phone.run("true")  # raises where the phone is gone; where it is not, the network took too long
            raise MeasurementError(
                f"{self._tool.name} took longer than limit_s = {plan.limit_s:g} seconds for this network"
            ) from error
        if reply.code and reply.err.startswith("taskset:") and reply.code not in COULD_NOT_START:
            raise DeviceError(f"the phone no longer keeps processes on cores {list(self._cores)}: {reply.tail}")
        return self._tool.read(reply, plan)

    def output(self) -> bytes | None:
        """The outputs of the last run, where the tool wrote them."""
        return self._phone.read(self._output)

    @property
    def _output(self) -> str:
        return self._files.output + self._tool.output_file


@dataclass(frozen=True)
class _Attempt:
    """One measurement, whether it is good enough or not."""

    runs: Sequence[ToolRun]
    interval: Interval
    before: PhoneState
    after: PhoneState
    checked: dict[str, Any]  # what is known of the outputs

    def refusal(self, half_width: float) -> str | None:
        """Why it is not good enough; None: it is."""
        throttled = self.after.throttled_since(self.before)
        width = self.interval.half_width
        if throttled is None and width <= half_width:
            return None
        if throttled is not None:
            return f"it throttles: {throttled}; {self._temperatures()}. Cool it, or wait longer between measurements"
        hotter = (self.after.temperature_c or 0) > (self.before.temperature_c or 0)
        heat = "; that is throttling, or other load" if hotter else "; something else runs on it"
        return (
            f"{len(self.runs)} processes of the same network leave a half-width of {100 * width:.1f} %, where "
            f"half_width = {half_width:g} is asked for; {self._temperatures()}{heat}"
        )

    def _temperatures(self) -> str:
        if self.before.temperature_c is None or self.after.temperature_c is None:
            return "the temperature is not known"
        return f"{self.before.temperature_c:.1f} °C before, {self.after.temperature_c:.1f} °C after"


def _remove(serial: str, folder: str, owner: int) -> None:
    """Removes the folder; nothing in a fork of the process that made it. A phone that is gone keeps it."""
    if os.getpid() == owner:
        with contextlib.suppress(DeviceError):
            AdbPhone(serial).remove(folder)


def _checked_cores(phone: AdbPhone, asked: Sequence[int] | None, threads: int) -> Sequence[int]:
    if asked is not None and (missing := set(asked) - set(online := online_cores(phone))):
        raise SettingsError(f"cores should be among the phone's {list(online)}, got {sorted(missing)} besides")
    cores = asked if asked is not None else fastest_cores(phone, threads)
    check_affinity(phone, cores)
    return cores


def _check_abi(path: Path, abi: str, serial: str, properties: dict[str, str]) -> None:
    listed = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi") or "nothing"
    if abi not in listed.split(","):
        raise SettingsError(
            f"{path} is built for {abi}, and phone {serial!r} runs {listed}: build it for {listed.split(',')[0]}"
        )


def _tool(runtime: Runtime) -> Tool:
    if runtime.name not in TOOLS:
        raise did_you_mean("runtime for phones", runtime.name, TOOLS)
    return TOOLS[runtime.name]


def _tool_path(given: str | Path | None, tool: Tool) -> Path:
    path = given or os.environ.get(_TOOL_VARIABLE)
    if not path:
        raise SettingsError(
            f"device 'adb' needs {tool.name}, built for the phone: give its path as tool under [device], or in the "
            f"environment variable {_TOOL_VARIABLE}"
        )
    return Path(path)


def _check(holds: bool, name: str, expected: str, value: float) -> None:
    if not holds:
        raise SettingsError(f"{name} should be {expected}, got {value}")
