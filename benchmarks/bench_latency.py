"""From an architecture to a timed latency: our way beside torch's ONNX exporter, and how well latencies repeat.

    python benchmarks/bench_latency.py                 # both parts, about three minutes on a quiet machine
    python benchmarks/bench_latency.py --rounds 0      # the first part only

Part one takes networks of the quickstart space through both ways in turn, in one process. Part two measures
the same five networks in fresh processes, as a search does it (one process, drift term) and as
`mnas measure` does it (five fresh processes each), and counts which of the stated intervals overlap.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from mnas.devices import LocalDevice
from mnas.devices._conversions import Conversions
from mnas.devices.runtimes import OnnxRuntime
from mnas.models import BuiltModel, build_model
from mnas.objective import Latency
from mnas.space import Architecture, mnasnet_space

STEPS = ("build", "write", "load", "time", "total")
MODES = {"search (1 process)": 1, "measure (5 processes)": 5}


class ExporterRuntime(OnnxRuntime):
    """The rival: the same runtime, with the ONNX file by torch's dynamo exporter."""

    def convert(self, network: BuiltModel) -> bytes:
        """What `torch.onnx.export` gives."""
        a = network.architecture
        images = torch.zeros(1, a.input_channels, a.resolution, a.resolution)
        program = torch.onnx.export(network, (images,), dynamo=True, verbose=False)
        assert program is not None
        return bytes(program.model_proto.SerializeToString())


def networks(count: int) -> list[Architecture]:
    """Random members of the quickstart's space."""
    space = mnasnet_space(
        width=0.35,
        resolution=32,
        strides=(1, 2, 2, 2, 1, 1, 1),
        stem_stride=1,
        head_filters=256,
        classes=10,
        input_channels=1,
    )
    generator = random.Random(0)
    return [space.decode(space.sample(generator)) for _ in range(count)]


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def steps(device: LocalDevice, architecture: Architecture) -> dict[str, float]:
    """Seconds of each step of one measurement, and of the whole, which is a call of `measure`."""
    latencies: list[Latency] = []
    total = seconds(lambda: latencies.append(device.measure(architecture)))
    environment = latencies[0].environment
    build = seconds(lambda: build_model(architecture, seed=0).eval())
    return {
        "build": build,
        "write": environment["conversion_seconds"] - build,  # conversion is both
        "load": environment["load_seconds"][0],
        "time": environment["timing_seconds"][0],
        "total": total,
    }


def compare(count: int) -> dict[str, Any]:
    """Both ways on each network in turn; prints the table, gives medians in seconds."""
    os.environ["MNAS_CACHE_MB"] = "0"  # the same network by both ways would be one file on disk
    ours, rival = LocalDevice(drift=0.01), LocalDevice(drift=0.01)
    rival.measuring.conversions = rival.measuring._in_fp32 = Conversions(ExporterRuntime())
    rows: dict[str, list[dict[str, float]]] = {"mnas": [], "torch.onnx": []}
    warm_up, *rest = networks(count + 1)
    for device in (ours, rival):
        device.measure(warm_up)  # libraries are loaded, processes started
    for architecture in rest:
        rows["mnas"].append(steps(ours, architecture))
        rows["torch.onnx"].append(steps(rival, architecture))
    medians = {way: {step: statistics.median(row[step] for row in of) for step in STEPS} for way, of in rows.items()}
    print(f"architecture -> timed latency, seconds, medians of {count} quickstart networks")
    print(f"{'':12}" + "".join(f"{step:>9}" for step in STEPS) + f"{'slowest':>9}")
    for way, median in medians.items():
        slowest = max(row["total"] for row in rows[way])
        print(f"{way:12}" + "".join(f"{median[step]:9.3f}" for step in STEPS) + f"{slowest:9.3f}")
    return medians


def repeat(rounds: int, pause_s: float) -> dict[str, Any]:
    """Measures five networks in `rounds` fresh processes; prints and gives how well they repeat."""
    results = []
    for _ in range(rounds):
        output = subprocess.run([sys.executable, __file__, "--once"], stdout=subprocess.PIPE, check=True).stdout
        results.append(json.loads(output))
        time.sleep(pause_s)
    print(f"\nfive quickstart networks, each measured in {rounds} fresh processes, {pause_s:g} s apart")
    print(f"{'':24}{'spread %':>10}{'half-width %':>14}{'intervals that overlap':>25}")
    return {mode: _repeatability(mode, [result[mode] for result in results]) for mode in MODES}


def _repeatability(mode: str, rounds: list[list[list[float]]]) -> dict[str, Any]:
    """`rounds`: per round, per network, (latency, low, high)."""
    per_network = list(zip(*rounds, strict=True))
    spread = [statistics.stdev(math.log(row[0]) for row in rows) for rows in per_network]
    widths = [math.log(high / low) / 2 for rows in rounds for _, low, high in rows]
    pairs = [pair for rows in per_network for pair in itertools.combinations(rows, 2)]
    overlapping = sum(a[1] <= b[2] and b[1] <= a[2] for a, b in pairs)
    result = {
        "spread": statistics.median(spread),
        "half_width": statistics.median(widths),
        "overlapping": overlapping,
        "pairs": len(pairs),
    }
    text = f"{overlapping} of {len(pairs)}"
    print(f"{mode:24}{100 * result['spread']:10.2f}{100 * result['half_width']:14.2f}{text:>25}")
    return result


def once() -> dict[str, list[list[float]]]:
    """Five networks in this process, in each mode."""
    found = {}
    for mode, processes in MODES.items():
        with LocalDevice(processes=processes) as device:
            latencies = [device.measure(architecture) for architecture in networks(5)]
        found[mode] = [[latency.latency_ms, latency.low_ms, latency.high_ms] for latency in latencies]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=8, help="in part one")
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes of part two; 0 leaves it out")
    parser.add_argument("--pause", type=float, default=5, help="seconds between them")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(once()))
        return
    result = {"benchmark": "latency", "seconds": compare(arguments.networks)}
    if arguments.rounds:
        result["repeat"] = repeat(arguments.rounds, arguments.pause)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
