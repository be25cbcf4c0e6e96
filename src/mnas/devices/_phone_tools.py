"""The programs that time a network on a phone: how each is called, and how what it prints is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mnas.devices._adb import Reply
from mnas.devices._phone_output import ToolOutput
from mnas.errors import MeasurementError, SettingsError

_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"

# ELF's e_machine (offset 18) and class (offset 4: 1 is 32 bit) -> Android's name of the ABI.
_ABIS = {
    (0xB7, 2): "arm64-v8a",
    (0x28, 1): "armeabi-v7a",
    (0x3E, 2): "x86_64",
    (0x03, 1): "x86",
    (0xF3, 2): "riscv64",
}


@dataclass(frozen=True)
class ToolFiles:
    """Where a network's files lie on the phone."""

    model: str
    images: str
    output: str


@dataclass(frozen=True)
class ToolPlan:
    """How long and on how many threads to run."""

    threads: int
    runs: int  # timed, at least
    seconds: float  # of timed runs, at least, where the tool can be told
    limit_s: float


@dataclass(frozen=True)
class ToolRun:
    """What one process of a tool measured."""

    latency_ms: float  # its fastest run
    mean_ms: float
    runs: int
    warm_up_runs: int
    samples_ms: tuple[float, ...]  # of each run, where the tool tells; else the fastest
    load_ms: float
    delegate: str | None  # what the tool says of the part that XNNPACK executes
    unknown: tuple[str, ...] = ()  # flags that this version of the tool does not know


class Tool(Protocol):
    """One program."""

    name: str  # as its documentation calls it, and under which it lies on the phone
    resolution_ms: float  # of the times it prints
    output_file: str  # what it appends to the name of the file that outputs are to be written to

    def arguments(self, files: ToolFiles, shape: Sequence[int], plan: ToolPlan) -> list[str]:
        """The words after the program's own name; `shape` is the input's."""
        ...

    def read(self, reply: Reply, plan: ToolPlan) -> ToolRun:
        """What it measured.

        Raises:
            MeasurementError: it does not run this network.
            SettingsError: it does not start, or prints something else than is known of it.
        """
        ...


class BenchmarkModel:
    """LiteRT's `benchmark_model` of tflite/tools/benchmark, which runs the interpreter.

    LiteRT has another program of this name, in litert/tools, which takes no input, writes no outputs and prints
    otherwise; it is refused.

    Its output is defined in google-ai-edge/LiteRT, tflite/tools/benchmark/benchmark_model.cc (OnBenchmarkEnd, Run)
    and openxla/xla, xla/tsl/util/stats_calculator.h (OutputToStream; the percentiles came in November 2024, and
    so did --output_filepath). It prints whole microseconds.
    """

    name = "benchmark_model"
    resolution_ms = 1e-3
    output_file = ""

    _STATISTICS = re.compile(
        rf"INFO: count=(?P<count>\d+) (?:first=\d+ curr=\d+ min=(?P<min>\d+) max=\d+ "
        rf"avg=(?P<avg>{_NUMBER}) std=\d+|curr=(?P<curr>\d+)(?:\(all same\))?)(?: p5=\d+ median=\d+ p95=\d+)?"
    )
    _SUMMARY = re.compile(
        rf"INFO: Inference timings in us: Init: (?P<init>\d+), First inference: \d+, "
        rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): (?P<avg>{_NUMBER})"
    )
    _DELEGATE = re.compile(
        r"INFO: (?:Explicitly applied XNNPACK delegate, and the model graph will be (?P<much>.+) the delegate.*"
        r"|(?P<none>Though XNNPACK delegate is explicitly applied.*))"
    )

    def arguments(self, files: ToolFiles, shape: Sequence[int], plan: ToolPlan) -> list[str]:
        """On the given input, with XNNPACK; outputs are written after the last timed run."""
        return [
            f"--graph={files.model}",
            f"--num_threads={plan.threads}",
            f"--num_runs={plan.runs}",
            f"--min_secs={plan.seconds:g}",
            f"--max_secs={plan.limit_s / 2:g}",  # of each of its two series
            "--use_xnnpack=true",
            "--input_layer=input",  # another name than the model's gets a warning, no more
            f"--input_layer_shape={','.join(map(str, shape))}",
            f"--input_layer_value_files=input:{files.images}",
            f"--output_filepath={files.output}",
        ]

    def read(self, reply: Reply, plan: ToolPlan) -> ToolRun:
        """Fastest and mean run of the second of its two series; the first is its warm-up."""
        printed = ToolOutput(self.name, reply, reply.out)
        unknown = self._unknown_flags(printed.lines)
        warm_up, timed = printed.marked("INFO: count=", self._STATISTICS, count=2)
        (summary,) = printed.marked("INFO: Inference timings", self._SUMMARY, count=1)
        mean, fastest = (float(timed[key] or timed["curr"]) / 1000 for key in ("avg", "min"))
        printed.check(summary, float(summary["avg"]), mean * 1000, f"the mean of {timed[0]!r}")
        if int(timed["count"]) < plan.runs:
            raise MeasurementError(
                f"{self.name} did {timed['count']} of {plan.runs} runs in half of limit_s = {plan.limit_s:g} seconds"
            )
        return ToolRun(
            latency_ms=fastest,
            mean_ms=mean,
            runs=int(timed["count"]),
            warm_up_runs=int(warm_up["count"]),
            samples_ms=(fastest,),
            load_ms=int(summary["init"]) / 1000,
            delegate=self._delegate(printed.lines),
            unknown=unknown,
        )

    def _delegate(self, lines: Sequence[str]) -> str | None:
        for line in lines:
            if found := self._DELEGATE.fullmatch(line):
                if found["none"]:
                    raise MeasurementError(f"XNNPACK executes nothing of this network: {line}")
                return f"XNNPACK: {found['much']} it"
        return None

    def _unknown_flags(self, lines: Sequence[str]) -> tuple[str, ...]:
        """What the tool ignored: outputs can be done without, everything else would be another measurement."""
        prefix = "WARN: Unconsumed cmdline flags:"
        words = [word for line in lines if line.startswith(prefix) for word in line.removeprefix(prefix).split()]
        flags = tuple(word.partition("=")[0] for word in words)
        for flag in flags:
            if flag not in ("--output_filepath", "--input_layer_value_files"):
                raise SettingsError(
                    f"this {self.name} does not know {flag}: build that of tflite/tools/benchmark in LiteRT 1.0 or "
                    "later, not that of litert/tools, which neither takes inputs nor writes outputs"
                )
        return flags


class ExecutorRunner:
    """ExecuTorch's `executor_runner`, of version 1.3 or newer, built to log to stderr.

    Its output is defined in pytorch/executorch, examples/portable/executor_runner/executor_runner.cpp (main) and
    runtime/platform/default/posix.cpp (et_pal_emit_log_message). Android's usual build logs to logcat, where lines
    of several processes mix; -DEXECUTORCH_PAL_DEFAULT=posix and -DEXECUTORCH_ENABLE_LOGGING=ON make it print.
    """

    name = "executor_runner"
    resolution_ms = 1e-6
    output_file = "-0.bin"

    _WARM_UP = 10
    _LOG = r"[DIEF] \d+:\d\d:\d\d\.\d{6} executorch:[^\]]*:\d+\] "
    _ITERATION = re.compile(rf"{_LOG}Iteration (?P<index>\d+) of (?P<count>\d+): (?P<ms>{_NUMBER}) ms")
    _TOTAL = re.compile(rf"{_LOG}Model executed successfully (?P<count>\d+) time\(s\) in (?P<ms>{_NUMBER}) ms\.")
    _LOADED = re.compile(rf"{_LOG}Model loaded in (?P<ms>{_NUMBER}) ms\.")

    def arguments(self, files: ToolFiles, shape: Sequence[int], plan: ToolPlan) -> list[str]:
        """On the given input, `runs` times after ten warm-up runs; `seconds` cannot be told it."""
        return [
            f"--model_path={files.model}",
            f"--cpu_threads={plan.threads}",
            f"--num_executions={self._WARM_UP + plan.runs}",
            f"--inputs={files.images}",
            f"--output_file={files.output}",
        ]

    def read(self, reply: Reply, plan: ToolPlan) -> ToolRun:
        """The timed runs one by one."""
        printed = ToolOutput(self.name, reply, reply.err)
        if not any("executorch:" in line for line in printed.lines):
            raise SettingsError(
                f"{self.name} printed no log: build version 1.3 or newer with -DEXECUTORCH_PAL_DEFAULT=posix and "
                "-DEXECUTORCH_ENABLE_LOGGING=ON (Android's usual build logs to logcat)"
            )
        expected = self._WARM_UP + plan.runs
        iterations = printed.marked("] Iteration ", self._ITERATION, count=expected)
        (total,) = printed.marked("] Model executed", self._TOTAL, count=1)
        (loaded,) = printed.marked("] Model loaded", self._LOADED, count=1)
        for index, iteration in enumerate(iterations, start=1):
            if (int(iteration["index"]), int(iteration["count"])) != (index, expected):
                raise printed.unknown(iteration[0], f"iteration {index} of {expected}")
        every = [float(iteration["ms"]) for iteration in iterations]
        printed.check(total, float(total["ms"]), sum(every), f"the iterations' sum of {sum(every):.6f} ms")
        timed = every[self._WARM_UP :]
        return ToolRun(
            latency_ms=min(timed),
            mean_ms=sum(timed) / len(timed),
            runs=len(timed),
            warm_up_runs=self._WARM_UP,
            samples_ms=tuple(timed),
            load_ms=float(loaded["ms"]),
            delegate=None,
        )


# By the runtime whose files they take.
TOOLS: Mapping[str, Tool] = {"litert": BenchmarkModel(), "executorch": ExecutorRunner()}


def executable_abi(path: Path) -> str:
    """The Android ABI that a program was built for, from its ELF header.

    Raises:
        SettingsError: there is no such file, or it is no program for Android.
    """
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise SettingsError(f"tool should be a program built for the phone: {error}") from error
    abi = _ABIS.get((int.from_bytes(head[18:20], "little"), head[4])) if len(head) == 20 else None
    if head[:4] != b"\x7fELF" or abi is None:
        known = ", ".join(_ABIS.values())
        raise SettingsError(f"tool should be a program built for a phone (an ELF file for {known}); {path} is none")
    return abi
