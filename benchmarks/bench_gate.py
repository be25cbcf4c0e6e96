"""Whether latencies can be trusted: repeats on a quiet machine, and measurements beside busy neighbours.

    python benchmarks/bench_gate.py                    # about twenty minutes; needs stress-ng for the second part

Part one measures a network in so many fresh programs and counts the pairs of intervals that overlap. Part two
starts stress-ng in several ways, measures in a fresh program as `mnas measure` does, and counts what was refused, and
of what was accepted how much lies within 6 % of the quiet value. The rival in both parts is what most tools do: ten
runs of warm-up, then the mean of a hundred in one process, and its t-interval.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

from mnas.devices import LocalDevice
from mnas.devices._candidate import Candidate
from mnas.devices.runtimes import find_runtime
from mnas.errors import DeviceError
from mnas.models import reference_architecture
from mnas.space import Architecture

NETWORKS = {
    "mnasnet-a1": reference_architecture("mnasnet-a1"),
    "small": Architecture.parse("input_r32_c1 stem_k3_s1_c16 ir_r2_k3_s2_e3_c24 head_c64_n10"),
}
NEIGHBOURS = {
    "one core": ["--cpu", "1"],
    "every core": ["--cpu", "0"],
    "memory": ["--stream", "1"],
    "half of the time": ["--cpu", "0", "--cpu-load", "50"],
    "a tenth of the time": ["--cpu", "0", "--cpu-load", "10"],
    "a fiftieth of the time": ["--cpu", "0", "--cpu-load", "2"],
}
WITHIN = 0.06
Row = dict[str, Any]


def measure_once(network: str, patience_s: float) -> dict[str, Row]:
    """Both ways, in this program."""
    architecture = NETWORKS[network]
    return {"mnas": _ours(architecture, patience_s), "mean of 100": _rival(architecture)}


def _ours(architecture: Architecture, patience_s: float) -> Row:
    began = time.perf_counter()
    with LocalDevice(processes=20, patience_s=patience_s) as device:
        try:
            latency = device.measure(architecture)
        except DeviceError as error:
            return {"refused": str(error), "seconds": time.perf_counter() - began}
    row = {"ms": latency.latency_ms, "low": latency.low_ms, "high": latency.high_ms}
    return row | {"seconds": time.perf_counter() - began, "priority": latency.environment["priority"]}


def _rival(architecture: Architecture) -> Row:
    runtime = find_runtime("onnxruntime")
    candidate = Candidate.convert(architecture, runtime)
    session = runtime.load(candidate.model, candidate.timed_images.copy(), 1)
    for _ in range(10):
        session.run()
    times_ms = []
    for _ in range(100):
        start = time.perf_counter()
        session.run()
        times_ms.append(1000 * (time.perf_counter() - start))
    mean, half = statistics.fmean(times_ms), 1.984 * statistics.stdev(times_ms) / 10
    return {"ms": mean, "low": mean - half, "high": mean + half}


def in_fresh_program(network: str, patience_s: float) -> dict[str, Row]:
    """The same in a program of its own, as a user starts it."""
    command = [sys.executable, __file__, "--once", network, "--patience", str(patience_s)]
    found: dict[str, Row] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def repeats(network: str, count: int, patience_s: float) -> dict[str, Any]:
    """Part one for a network; prints its row."""
    rounds = [in_fresh_program(network, patience_s) for _ in range(count)]
    result: dict[str, Any] = {"network": network, "rounds": rounds}
    for way in ("mnas", "mean of 100"):
        rows = [found[way] for found in rounds if "ms" in found[way]]
        pairs = list(itertools.combinations(rows, 2))
        overlapping = sum(a["low"] <= b["high"] and b["low"] <= a["high"] for a, b in pairs)
        median = statistics.median(row["ms"] for row in rows)
        spread = statistics.stdev(math.log(row["ms"]) for row in rows)
        result[way] = {"median_ms": median, "spread": spread, "overlapping": overlapping / len(pairs)}
        print(
            f"| {network} | {way} | {len(rows)} of {count} | {median:.4f} | {100 * spread:.2f} | "
            f"{overlapping} of {len(pairs)} ({100 * overlapping / len(pairs):.0f} %) |", flush=True,
        )  # fmt: skip
    return result


def beside(network: str, neighbour: str, count: int, quiet: dict[str, Any], patience_s: float) -> dict[str, Any]:
    """Part two for a network and a neighbour; prints its rows."""
    result: dict[str, Any] = {"network": network, "neighbour": neighbour}
    stress = subprocess.Popen(["stress-ng", *NEIGHBOURS[neighbour], "--quiet"])
    try:
        time.sleep(1)
        rounds = [in_fresh_program(network, patience_s) for _ in range(count)]
    finally:
        stress.terminate()
        stress.wait()
    for way in ("mnas", "mean of 100"):
        accepted = [found[way]["ms"] / quiet[way]["median_ms"] - 1 for found in rounds if "ms" in found[way]]
        good = sum(abs(off) <= WITHIN for off in accepted)
        worst = max(accepted, key=abs, default=0.0)
        result[way] = {"refused": count - len(accepted), "accepted": len(accepted), "good": good, "worst": worst}
        print(
            f"| {network} | {neighbour} | {way} | {count - len(accepted)} | {good} of {len(accepted)} | "
            f"{100 * worst:+.1f} |", flush=True,
        )  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--stressed", type=int, default=5, help="measurements beside each neighbour")
    parser.add_argument("--patience", type=float, default=10, help="seconds until a measurement is refused")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--neighbours", nargs="*", default=list(NEIGHBOURS), choices=list(NEIGHBOURS))
    parser.add_argument("--once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(measure_once(arguments.once, arguments.patience)))
        return
    print("| network | way | measured | ms | spread, % | intervals that overlap |\n|---|---|---|---|---|---|")
    quiet = {network: repeats(network, arguments.repeats, arguments.patience) for network in arguments.networks}
    stressed = []
    if not arguments.stressed:
        print("part two is left out: --stressed 0")
    elif shutil.which("stress-ng"):
        print("\n| network | neighbour | way | refused | accepted and within 6 % | worst, % |")
        print("|---|---|---|---|---|---|")
        for network, neighbour in itertools.product(arguments.networks, arguments.neighbours):
            found = beside(network, neighbour, arguments.stressed, quiet[network], arguments.patience)
            stressed.append(found)
    else:
        print("part two is left out: there is no stress-ng here")
    print(json.dumps({"benchmark": "gate", "quiet": quiet, "stressed": stressed}))


if __name__ == "__main__":
    main()
