"""How often accepted intervals of a phone contain the truth, when measuring stops as soon as they are narrow enough.

Simulated: processes differ normally by the deviation given, and minutes by the constant of the interval.
"""

from __future__ import annotations

import json
import math

import numpy as np

from mnas.devices._interval import MINUTES_SD, Interval

PROCESSES, MAX_PROCESSES, HALF_WIDTH = 5, 15, 0.03  # the device's defaults
TIMES = 4000


def interval(logs: list[float]) -> Interval:
    """Of processes with these logarithms of a latency that is 1 ms in truth."""
    return Interval.over_processes([math.exp(value) for value in logs])


def simulate(sd: float, rng: np.random.Generator) -> dict[str, float]:
    """Shares of attempts, and processes per attempt."""
    accepted = right = used = 0
    for _ in range(TIMES):
        minute = rng.normal(0, MINUTES_SD)
        logs = list(rng.normal(minute, sd, PROCESSES))
        while (found := interval(logs)).half_width > HALF_WIDTH and len(logs) < MAX_PROCESSES:
            logs.append(rng.normal(minute, sd))
        used += len(logs)
        if found.half_width <= HALF_WIDTH:
            accepted += 1
            right += found.low_ms <= 1.0 <= found.high_ms
    return {"sd": sd, "accepted": accepted / TIMES, "processes": used / TIMES, "covers": right / max(accepted, 1)}


def main() -> None:
    rng = np.random.default_rng(0)
    print("| standard deviation between processes | accepted | processes | accepted that contain the truth |")
    print("|---|---|---|---|")
    rows = [simulate(sd, rng) for sd in (0.005, 0.01, 0.02, 0.03, 0.04, 0.06)]
    for row in rows:
        print(f"| {row['sd']:.1%} | {row['accepted']:.0%} | {row['processes']:.1f} | {row['covers']:.1%} |")
    print(json.dumps({"benchmark": "phone_interval", "rows": rows}))


if __name__ == "__main__":
    main()
