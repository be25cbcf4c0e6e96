"""The measuring protocol: spells in timing processes, judged by the gate, until the interval is narrow enough.

What it measures with is a machine that starts timing processes: this one (`_local.py`) or one at the other end of
an SSH connection (`_ssh.py`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

from mnas.devices._candidate import Candidate
from mnas.devices._child import Child
from mnas.devices._contract import DeviceInfo, ModelFile
from mnas.devices._conversions import Conversions
from mnas.devices._energy import MeterName
from mnas.devices._gate import REFERENCE, Gate
from mnas.devices._interval import Drift, Interval
from mnas.devices._timing import PROTOCOL, STATISTIC, Spell, Stopwatch, TimingPlan
from mnas.devices._wire import Header
from mnas.devices.runtimes import Precision, Runtime, find_runtime
from mnas.errors import DeviceError, MeasurementError, SettingsError
from mnas.objective import Energy, Latency
from mnas.space import Architecture

Busy = Literal["wait", "accept"]
_Conclude = Callable[[Sequence[float], float], Interval]  # from spells in ms and what disturbed them, relative

FIRST = 4  # spells of a measurement at least, and processes and spells each of a calibration
_MOST = 40  # spells in which the interval has to become narrow
_LONGEST_WAIT_S = 5.0
_FIRST_WAIT_S = 0.1


class Machine(Protocol):
    """Where timing processes run."""

    def start(self) -> Child:
        """A fresh timing process.

        Raises:
            DeviceError: none can be started.
            SettingsError: the runtime is not there.
        """
        ...


@dataclass(frozen=True)
class Patience:
    """How good a measurement has to be, and what is done about a machine on which it cannot be had."""

    half_width: float = 0.03  # of the 95 % interval, relative
    busy: Busy = "wait"  # then stop; or accept what there is, with a wider interval and a remark
    patience_s: float = 60.0  # seconds that refused spells and waiting may take per measurement

    def __post_init__(self) -> None:
        if not 0 < self.half_width < 1:
            raise SettingsError(f"half_width should be a relative half-width between 0 and 1, got {self.half_width}")
        if self.busy not in ("wait", "accept"):
            raise SettingsError(f"busy should be 'wait' or 'accept', got {self.busy!r}")
        if not self.patience_s >= 0:
            raise SettingsError(f"patience_s should be at least zero seconds, got {self.patience_s}")


class Measuring:
    """Measures networks with one runtime on one machine; holds what is learnt of the machine on the way.

    Raises:
        SettingsError: a number out of range.
    """

    def __init__(
        self,
        name: str,
        machine: Machine,
        runtime: Runtime,
        threads: int,
        patience: Patience,
        limit_s: float,
        processes: int,
        drift: float | None,
        is_exclusive: bool,
        meter: MeterName | None = None,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        if processes < 1:
            raise SettingsError(f"processes should be at least 1, got {processes}")
        if drift is not None and not 0 <= drift < 1:
            raise SettingsError(f"drift should be a relative standard deviation from 0 to below 1, got {drift}")
        if not limit_s > 0:
            raise SettingsError(f"limit_s should be above zero seconds, got {limit_s}")
        self.name, self.machine, self.runtime, self.threads = name, machine, runtime, threads
        self.patience, self.limit_s, self.processes, self.is_exclusive = patience, limit_s, processes, is_exclusive
        self.meter = meter  # of the energy, on this machine; None: it is not measured
        self.turn = turn  # within which networks run on the machine
        self.plan, self.gate = TimingPlan(), Gate()
        self.conversions = Conversions(runtime)
        self._in_fp32 = self.conversions if runtime.precision == "fp32" else Conversions(find_runtime(runtime.name))
        self._drift = None if drift is None else Drift(drift)
        self._child: Child | None = None
        self._gauge: Candidate | None = None
        self._info: DeviceInfo | None = None

    def info(self) -> DeviceInfo:
        """The CPU, the runtime with its version, the precision and the number of threads.

        Raises:
            DeviceError: no timing process can be started.
        """
        if self._info is None:
            with self.machine.start() as child:
                self._info = self._describe(child)
        return self._info

    def measure(self, architecture: Architecture) -> Latency:
        """In the process that stays for all networks, or in fresh ones if `processes` are several.

        Raises:
            MeasurementError: the network does not run, its outputs are wrong, it takes longer than `limit_s`
                or its process dies.
            DeviceError: the machine is gone, or too busy to measure on.
        """
        return self._measure(self.conversions.candidate(architecture))

    def measure_file(self, file: ModelFile) -> Latency:
        """The same of a file of the runtime's, whose outputs must be those that it comes with.

        Raises:
            MeasurementError, DeviceError: as `measure`; it is in another precision.
        """
        return self._measure(Candidate.of_file(file, self.runtime))

    def _measure(self, candidate: Candidate) -> Latency:
        if self.processes > 1:
            return self._measure_together((candidate,), self.processes)[0]
        drift = self._drift_from(candidate)
        child = self._running_child()
        loaded = self._load(child, "network", candidate)

        def conclude(spells_ms: Sequence[float], disturbance: float) -> Interval:
            return Interval.of_one_process(spells_ms, drift, disturbance)

        (measured,) = self._gather([lambda: (self._spell(child, "network"), loaded)], FIRST, conclude)
        return self._latency(candidate, measured)

    def measure_together(self, architectures: Sequence[Architecture], processes: int) -> list[Latency]:
        """Each network in at least so many fresh processes, round after round.

        Raises:
            MeasurementError, DeviceError: as `measure`.
        """
        return self._measure_together([self.conversions.candidate(each) for each in architectures], processes)

    def _measure_together(self, candidates: Sequence[Candidate], processes: int) -> list[Latency]:
        takes = [partial(self._in_fresh_process, candidate) for candidate in candidates]
        gathered = self._gather(takes, max(2, processes), Interval.over_processes)
        return [self._latency(*pair) for pair in zip(candidates, gathered, strict=True)]

    def try_out(self, architecture: Architecture) -> None:
        """Converts it, runs it once in the process that stays and compares the outputs.

        Raises:
            MeasurementError, DeviceError: as `measure`.
        """
        candidate = self.conversions.candidate(architecture)
        self._load(self._running_child(), "network", candidate, TimingPlan(warm_up_ms=0, max_warm_up_ms=0))

    def close(self) -> None:
        """Ends the processes that stay, if there are any. The next measurement starts others."""
        self.conversions.close()
        self._in_fp32.close()
        self._end_child()

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _gather(
        self,
        takes: Sequence[Callable[[], tuple[Spell, _Loaded]]],
        first: int,
        conclude: _Conclude,
    ) -> list[_Measured]:
        """Spells of each network in turn, until every interval is narrow enough."""
        gathered = [_Gathered(self.gate, first, conclude, self.patience) for _ in takes]
        lost_s, wait_s = 0.0, _FIRST_WAIT_S
        while True:
            waiting = [(mine, take) for mine, take in zip(gathered, takes, strict=True) if not mine.is_enough]
            if not waiting:
                return [mine.measured() for mine in gathered]
            problems = []
            for mine, take in waiting:
                with Stopwatch() as watch:
                    problem = mine.add(*take())
                if problem:
                    problems.append(problem)
                    lost_s += watch.seconds  # of this spell alone: of many networks, most may have been undisturbed
            # Where most were undisturbed there is nothing to wait for.
            pause_s = wait_s if 2 * len(problems) >= len(waiting) else 0.0
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S) if pause_s else _FIRST_WAIT_S
            lost_s += pause_s
            if problems and lost_s > self.patience.patience_s and self._gives_up(problems[0], lost_s, gathered):
                return [mine.measured() for mine in gathered]
            if pause_s:
                time.sleep(pause_s)

    def _gives_up(self, problem: str, lost_s: float, gathered: Sequence[_Gathered]) -> bool:
        """Whether what there is has to do.

        Raises:
            DeviceError: it must not.
        """
        if self.patience.busy == "accept":
            return all(len(mine.taken) >= mine.first for mine in gathered)
        raise DeviceError(
            f"no latency could be had within {self.patience.half_width:.1%} for {lost_s:.0f} s: {problem}. Leave the "
            "machine alone and go on, or allow wider intervals (half_width), longer waiting (patience_s) or "
            'latencies of a busy machine (busy = "accept")'
        )

    def _drift_from(self, candidate: Candidate) -> Drift:
        """What processes are known to differ by; found out on this candidate if nobody has before."""
        if self._drift is None:
            with ExitStack() as stack:
                children = [stack.enter_context(self._start()) for _ in range(FIRST)]
                rows: list[list[float]] = [[] for _ in children]
                for child in children:
                    self._load(child, "network", candidate)
                for _ in range(FIRST):
                    for row, child in zip(rows, children, strict=True):
                        row.append(self._spell(child, "network").latency_ms)
            self._drift = Drift.calibrated(str(candidate.architecture), rows)
        return self._drift

    def _in_fresh_process(self, candidate: Candidate) -> tuple[Spell, _Loaded]:
        with self._start() as child:
            loaded = self._load(child, "network", candidate)
            return self._spell(child, "network"), loaded

    def _spell(self, child: Child, key: str) -> Spell:
        header = {"spell": key, "gauge": "gauge", "plan": dataclasses.asdict(self.plan)}
        reply, _ = self._ask(child, header)
        return self.gate.learn(Spell.from_dict(reply["spell"]))

    def _load(self, child: Child, key: str, candidate: Candidate, plan: TimingPlan | None = None) -> _Loaded:
        shape, planned = candidate.images.shape, dataclasses.asdict(plan or self.plan)
        header = {"load": key, "precision": candidate.precision, "shape": shape, "plan": planned}
        reply, (output,) = self._ask(child, header, candidate.model, candidate.images.tobytes())
        conversions = self._conversions_in(candidate.precision)
        difference = candidate.check(output, reply["shape"], conversions.runtime.tolerance)
        conversions.keep(candidate)
        return _Loaded(reply["load_seconds"], reply["warm_up_runs"], difference, child.cores, child.priority)

    def _ask(self, child: Child, header: Header, *parts: bytes) -> tuple[Header, list[bytes]]:
        """The answer to what makes a network run, for which other searches on the machine wait."""
        with self.turn():
            return child.ask(header, *parts, limit_s=self.limit_s)

    def _conversions_in(self, precision: Precision) -> Conversions:
        """Those of the runtime, or in fp32 for the reference network, of which it is asked only to stay the same."""
        return self.conversions if precision == self.runtime.precision else self._in_fp32

    def _describe(self, child: Child) -> DeviceInfo:
        details = {
            "runtime": self.runtime.name,
            "runtime_version": child.version,
            "precision": self.runtime.precision,
            "threads": self.threads,
            "cpu": child.cpu,
            "os": child.os,
        }
        # "cpu" wherever it is: the board itself would say the same of its latencies.
        parts = ("cpu", *(details[key] for key in ("runtime", "runtime_version", "precision")))
        fingerprint = " ".join(map(str, (*parts, f"threads={self.threads}", child.cpu, f"protocol={PROTOCOL}")))
        return DeviceInfo(self.name, fingerprint, details, exclusive=self.is_exclusive)

    def _latency(self, candidate: Candidate, measured: _Measured) -> Latency:
        info = self.info()
        environment = {**info.details, "tolerance": self.runtime.tolerance, **candidate.details, **measured.details}
        interval = measured.interval
        return Latency(
            latency_ms=interval.estimate_ms,
            low_ms=interval.low_ms,
            high_ms=interval.high_ms,
            statistic=STATISTIC,
            device=info.fingerprint,
            samples_ms=tuple(sample for spell in measured.spells for sample in spell.samples_ms),
            environment=environment,
            energy=self._energy(candidate) if self.meter else None,
        )

    def _energy(self, candidate: Candidate) -> Energy:
        """Of one inference, in the process that stays."""
        child = self._running_child()
        self._load(child, "network", candidate)
        reply, _ = self._ask(child, {"energy": "network", "meter": self.meter})
        return Energy(**reply["energy"])

    def _running_child(self) -> Child:
        if self._child is None or not self._child.answers():
            self._end_child()  # it alone: a process that converts may take half a minute to start again
            self._child = self._start()
        return self._child

    def _start(self) -> Child:
        """A fresh process with the reference network in it."""
        if self._gauge is None:
            self._gauge = self._conversions_in("fp32").candidate(REFERENCE)
        child = self.machine.start()
        try:
            self._load(child, "gauge", self._gauge)
        except MeasurementError as error:
            child.close()
            raise DeviceError(f"the reference network does not run on device {self.name!r}: {error}") from error
        except BaseException:
            child.close()
            raise
        return child


@dataclass(frozen=True)
class _Loaded:
    """What loading a network in one process gave."""

    load_seconds: float
    warm_up_runs: int
    difference: float  # of the outputs from torch's
    cores: list[int] | None  # that the process is kept on
    priority: str


@dataclass(frozen=True)
class _Measured:
    """A network's spells and what was concluded from them."""

    spells: tuple[Spell, ...]
    loaded: tuple[_Loaded, ...]  # one per process
    interval: Interval
    refused: tuple[str, ...]  # why spells were not counted
    disturbed: str | None  # why the interval is wider than was asked for
    best_gauge_ms: float
    seconds: float

    @property
    def details(self) -> dict[str, Any]:
        """What is recorded with the latency; lists have one value per spell, or per process."""
        conditions = [spell.conditions.to_dict() for spell in self.spells]
        return {
            "interval": self.interval.origin,
            "output_difference": [loaded.difference for loaded in self.loaded],
            "cores": self.loaded[0].cores,
            "priority": self.loaded[0].priority,
            "load_seconds": [loaded.load_seconds for loaded in self.loaded],
            "warm_up_runs": [loaded.warm_up_runs for loaded in self.loaded],
            "spell_latency_ms": [spell.latency_ms for spell in self.spells],
            "blocks": [len(spell.samples_ms) for spell in self.spells],
            "runs_per_block": [spell.runs_per_block for spell in self.spells],
            "gauge_ms": [list(spell.gauge_ms) for spell in self.spells],
            "best_gauge_ms": self.best_gauge_ms,
            **{key: [seen[key] for seen in conditions] for key in conditions[0]},
            "refused": list(self.refused),
            "disturbed": self.disturbed,
            "timing_seconds": self.seconds,
        }


@dataclass
class _Gathered:
    """The spells of one network so far."""

    gate: Gate
    first: int
    conclude: _Conclude
    patience: Patience
    taken: list[tuple[Spell, _Loaded]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    def add(self, spell: Spell, loaded: _Loaded) -> str | None:
        """One more spell; why it, or all of them, do not do, if so."""
        self.taken.append((spell, loaded))
        self.seconds = time.monotonic() - self._began
        problem = self.gate.problem(spell) or self._spread()
        if problem is not None:
            self.refused.append(problem)
        return problem

    @property
    def is_enough(self) -> bool:
        """Whether the spells that count make an interval that is narrow enough."""
        kept = self._kept
        return len(kept) >= self.first and self._half_width(kept) <= self.patience.half_width

    def measured(self) -> _Measured:
        """The conclusion: from the spells that count, or, if they are too few, from the least disturbed ones."""
        used = self._kept
        if len(used) < self.first:
            used = sorted(self.taken, key=lambda pair: self.gate.disturbance(pair[0]))[: self.first]
        disturbed = None if self.is_enough else self.refused[-1]
        disturbance = max(self.gate.disturbance(spell) for spell, _ in used) if disturbed else 0.0
        spells, loaded = zip(*used, strict=True)
        processes = tuple({id(one): one for one in loaded}.values())
        interval = self.conclude([spell.latency_ms for spell in spells], disturbance)
        return _Measured(spells, processes, interval, tuple(self.refused), disturbed, self.gate.best_ms, self.seconds)

    def _spread(self) -> str | None:
        """That many spells did not make the interval narrow; it begins anew then, where that is waited for."""
        kept = self._kept
        if self.is_enough or len(kept) < _MOST or len(kept) % _MOST:
            return None
        width = self._half_width(kept)
        if self.patience.busy == "wait":
            self.taken.clear()
        return f"after {len(kept)} spells the interval is {width:.1%} wide on either side"

    @property
    def _kept(self) -> list[tuple[Spell, _Loaded]]:
        return [(spell, loaded) for spell, loaded in self.taken if self.gate.problem(spell) is None]

    def _half_width(self, pairs: Sequence[tuple[Spell, _Loaded]]) -> float:
        return self.conclude([spell.latency_ms for spell, _ in pairs], 0.0).half_width
