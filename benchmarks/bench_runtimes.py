"""Known networks on every runtime and precision that is installed here, each with its interval.

    python benchmarks/bench_runtimes.py --out now.json
    python benchmarks/bench_runtimes.py --beside now.json            # later: which intervals overlap with those

Each row is `LocalDevice(processes=5).measure`: at least five fresh processes, until the half-width is 3 %.
A runtime that is not installed, or a network that it cannot run, is a row with the reason.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

from mnas.devices import LocalDevice
from mnas.devices.runtimes import RUNTIMES
from mnas.errors import MnasError
from mnas.models import reference_architecture

NETWORKS = ("mnasnet-a1", "mnasnet-b1", "mobilenet-v2")


def row(network: str, runtime: str, precision: str, threads: int) -> dict[str, Any]:
    """One measurement, or why there is none."""
    named = {"network": network, "runtime": runtime, "precision": precision}
    began = time.perf_counter()
    try:
        with LocalDevice(runtime, threads, processes=5, precision=precision, limit_s=120) as device:
            latency = device.measure(reference_architecture(network))
    except MnasError as error:
        return named | {"error": str(error)}
    environment = latency.environment
    return named | {
        "latency_ms": latency.latency_ms,
        "low_ms": latency.low_ms,
        "high_ms": latency.high_ms,
        "conversion_s": environment["conversion_seconds"],
        "load_s": environment["load_seconds"][0],
        "refused": len(environment["refused"]),
        "model_mb": environment["model_bytes"] / 1e6,
        "output_difference": environment["output_difference"][0],
        "seconds": time.perf_counter() - began,
    }


def text(found: dict[str, Any], before: dict[str, Any] | None) -> str:
    """A row of the table."""
    name = f"| {found['runtime']} | {found['precision']} | {found['network']} |"
    if "error" in found:
        return f"{name} {found['error']} |"
    line = (
        f"{name} {found['latency_ms']:.2f} | {found['low_ms']:.2f} - {found['high_ms']:.2f} | "
        f"{found['conversion_s']:.1f} | {found['load_s']:.2f} | {found['model_mb']:.1f} | "
        f"{found['output_difference']:.1e} | {found['refused']} | {found['seconds']:.0f} |"
    )
    if before is None or "error" in before:
        return line
    overlaps = before["low_ms"] <= found["high_ms"] and found["low_ms"] <= before["high_ms"]
    return f"{line} {before['latency_ms']:.2f} | {'yes' if overlaps else 'no'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtimes", nargs="*", default=list(RUNTIMES))
    parser.add_argument("--precisions", nargs="*", default=["fp32", "int8"])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the rows here")
    parser.add_argument("--beside", type=Path, help="rows of an earlier run to compare with")
    arguments = parser.parse_args()
    earlier = json.loads(arguments.beside.read_text()) if arguments.beside else []
    key = ("network", "runtime", "precision")
    before = {tuple(found[name] for name in key): found for found in earlier}
    print("| runtime | precision | network | ms | 95 % interval | conversion, s | loading, s | MB | outputs off by | "
          "spells refused | seconds |" + (" before, ms | intervals overlap |" if before else ""))  # fmt: skip
    print("|---" * (13 if before else 11) + "|")
    rows = []
    for runtime, precision, network in itertools.product(
        arguments.runtimes, arguments.precisions, arguments.networks
    ):
        rows.append(row(network, runtime, precision, arguments.threads))
        print(text(rows[-1], before.get((network, runtime, precision))), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1))
    print(json.dumps({"benchmark": "runtimes", "rows": rows}))


if __name__ == "__main__":
    main()
