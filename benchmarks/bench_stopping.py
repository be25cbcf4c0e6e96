"""What it costs to stop measuring as soon as the interval is narrow: how often such intervals contain the truth.

    python benchmarks/bench_stopping.py            # simulated, half a minute

Spells differ by some percent, minutes by 1 %; measuring goes on as `LocalDevice` does it, until the half-width is
3 %, or 40 spells are too few and the measurement is refused. In half of the rows one spell in twenty is also slower
by up to all of its latency again, as beside neighbours who share the cache.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from typing import Any

from mnas.devices._interval import MINUTES_SD, Interval

SPREADS = (0.005, 0.01, 0.02, 0.03, 0.05)
BURSTS = (0.0, 0.05)
FIRST, MOST = 5, 40


def measured(
    generator: random.Random, spread: float, bursts: float, half_width: float
) -> tuple[Interval | None, int]:
    """One measurement of a network of 1 ms: its interval, None where it is refused, and the spells it took."""
    minute = generator.gauss(0, MINUTES_SD)
    spells_ms: list[float] = []
    while len(spells_ms) < MOST:
        burst = generator.random() if generator.random() < bursts else 0.0
        spells_ms.append(math.exp(minute + generator.gauss(0, spread)) * (1 + burst))
        if len(spells_ms) >= FIRST:
            interval = Interval.over_processes(spells_ms)
            if interval.half_width <= half_width:
                return interval, len(spells_ms)
    return None, MOST


def row(spread: float, bursts: float, draws: int, half_width: float) -> dict[str, Any]:
    """Prints and gives what becomes of so many measurements."""
    generator = random.Random(0)
    found = [measured(generator, spread, bursts, half_width) for _ in range(draws)]
    accepted = [(interval, spells) for interval, spells in found if interval is not None]
    inside = sum(interval.low_ms <= 1 <= interval.high_ms for interval, _ in accepted) / max(1, len(accepted))
    spells = sum(spells for _, spells in found) / draws
    said = (100 * spread, 100 * bursts, 100 * inside, 100 * len(accepted) / draws, spells)
    print("| {:g} | {:g} | {:.1f} | {:.1f} | {:.1f} |".format(*said), flush=True)
    return {"spread": spread, "bursts": bursts, "inside": inside, "accepted": len(accepted) / draws, "spells": spells}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--half-width", type=float, default=0.03)
    arguments = parser.parse_args()
    print("| spells differ by, % | bursts, % | intervals that contain the truth, % | accepted, % | spells |")
    print("|---" * 5 + "|")
    rows = [row(spread, bursts, arguments.draws, arguments.half_width) for bursts in BURSTS for spread in SPREADS]
    print(json.dumps({"benchmark": "stopping", "rows": rows}))


if __name__ == "__main__":
    main()
