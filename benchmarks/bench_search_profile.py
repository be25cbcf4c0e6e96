"""One search on the measured device against one on a profile of it: are the fronts the same, and what time is saved?

    python benchmarks/bench_search_profile.py                        # makes the profile too; 15 minutes when quiet
    python benchmarks/bench_search_profile.py --profile cpu.profile  # of this CPU, for the space accel-nasbench
    python benchmarks/bench_search_profile.py --again                # also the measured search with another seed
    python benchmarks/bench_search_profile.py --out FOLDER           # kept there; the same command goes on from there

Both have the imagenet preset's space, controller, predicted accuracy and device (this CPU), the same seed, trials and
target, which is the profile's median over the space. Then all networks of both fronts are measured again in turn,
each in fresh processes, round after round, so that what drifts meets both alike. A front's hypervolume gets its 95 %
interval by drawing every latency from its own interval, a thousand times; the reference point is one for all. It is
given up to the target, beyond which a network is worth nothing to these searches (their reward is "hard"), and whole:
what a search has beyond its target, it has by chance.
`--again` shows what another seed does to the front: fronts that differ less are the same for all that can be known.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mnas.config import load_settings
from mnas.devices import LocalDevice
from mnas.folder import load_result
from mnas.objective import Latency
from mnas.pareto import front_indices, hypervolume
from mnas.profiles import Profile, read_profile, write_profile
from mnas.profiling import make_profile
from mnas.result import SearchResult
from mnas.run import search
from mnas.space import Architecture, accel_nasbench_space

PRESET = load_settings("imagenet")
DEVICE = PRESET.device.model_dump()  # this CPU
DRAWS = 1000
MEDIAN_OF = 500  # networks
HALF_WIDTH = 0.05  # of a network measured again: a front's volume is of some thirty of them
PATIENCE_S = 600.0  # of measuring again: what was searched before is not to be lost to a minute's load


@dataclass(frozen=True)
class Found:
    """One search: its front, as it says itself, and its wall time."""

    name: str
    seconds: float
    front: tuple[tuple[Architecture, float, float], ...]  # architecture, accuracy, latency_ms


def profile_from(file: Path | None, minutes: float, folder: Path) -> tuple[Profile, Path, float | None]:
    """The profile, its file, and the seconds it took if it was made now."""
    made_before = folder / "cpu.profile"
    if file is not None or made_before.exists():
        return read_profile(file or made_before), file or made_before, None
    began = time.monotonic()
    options = {key: value for key, value in DEVICE.items() if key != "name"}
    with LocalDevice(**options) as device:
        made = make_profile(device, accel_nasbench_space(), minutes, settings=DEVICE)
    write_profile(folder / "cpu.profile", made)
    return made, folder / "cpu.profile", time.monotonic() - began


def median_ms(profile: Profile) -> float:
    """The space's median latency, predicted."""
    space, generator = accel_nasbench_space(), random.Random(0)
    return float(median(profile.predict(space.decode(space.sample(generator)) for _ in range(MEDIAN_OF)).tolist()))


def searched(name: str, device: Mapping[str, Any], target_ms: float, trials: int, seed: int, folder: Path) -> Found:
    """One search to its end; on a profile that is with its front measured."""
    out = folder / name.replace(" ", "-")
    if (out / "seconds").exists():
        return Found(name, float((out / "seconds").read_text()), _front(load_result(out)))
    began = time.monotonic()
    result = search(
        space=PRESET.space.name,
        objective=PRESET.objective.model_dump(exclude_none=True) | {"target_ms": target_ms},
        device=dict(device),
        controller=PRESET.controller.model_dump(),
        dataset=None,
        accuracy=PRESET.accuracy.model_dump(),
        final={"top": 0},
        trials=trials,
        seed=seed,
        workers=0,
        out=out,
    )
    seconds = time.monotonic() - began
    (out / "seconds").write_text(str(seconds))
    return Found(name, seconds, _front(result))


def _front(result: SearchResult) -> tuple[tuple[Architecture, float, float], ...]:
    front = []
    for trial in result.front:
        assert trial.accuracy is not None
        assert trial.latency_ms is not None
        front.append((trial.architecture, trial.accuracy, trial.latency_ms))
    return tuple(front)


def measured_again(found: Sequence[Found], processes: int) -> dict[str, Latency]:
    """By the network's id: all networks of all fronts, round after round."""
    networks = list({architecture.id: architecture for one in found for architecture, _, _ in one.front}.values())
    options = {key: value for key, value in DEVICE.items() if key not in ("name", "half_width")}
    with LocalDevice(**options, half_width=HALF_WIDTH, patience_s=PATIENCE_S) as device:
        return dict(zip([n.id for n in networks], device.measure_together(networks, processes), strict=True))


def volume(found: Found, latencies: Mapping[str, Latency], reference: tuple[float, float]) -> dict[str, float]:
    """The front's hypervolume from the latencies measured again, with its interval."""
    mine = [latencies[architecture.id] for architecture, _, _ in found.front]
    accuracies = [accuracy for _, accuracy, _ in found.front]
    centre = np.log([latency.latency_ms for latency in mine])
    deviation = np.log([latency.high_ms / latency.low_ms for latency in mine]) / (2 * 1.96)
    drawn = np.exp(centre + deviation * np.random.default_rng(0).normal(size=(DRAWS, len(mine))))
    volumes = [hypervolume(list(zip(row, accuracies, strict=True)), reference) for row in drawn.tolist()]
    low, high = np.quantile(volumes, [0.025, 0.975]).tolist()
    of_all = hypervolume(list(zip(np.exp(centre).tolist(), accuracies, strict=True)), reference)
    return {"hypervolume": of_all, "low": low, "high": high}


def show_fronts(found: Sequence[Found], latencies: Mapping[str, Latency]) -> None:
    """All networks by rising latency, with what each search said whose front has it; * marks the joint front."""
    rows = sorted(
        {a.id: (latencies[a.id], accuracy) for one in found for a, accuracy, _ in one.front}.items(),
        key=lambda row: row[1][0].latency_ms,
    )
    joint = set(front_indices([(latency.latency_ms, accuracy) for _, (latency, accuracy) in rows]))
    said = [{a.id: ms for a, _, ms in one.front} for one in found]
    print(f"{'':2}{'accuracy':>9}{'measured again, ms':>28}" + "".join(f"{one.name:>16}" for one in found))
    for index, (name, (latency, accuracy)) in enumerate(rows):
        again = f"{latency.latency_ms:.3f} [{latency.low_ms:.3f}, {latency.high_ms:.3f}]"
        marks = (f"{ms[name]:16.3f}" if name in ms else f"{'':16}" for ms in said)
        print(f"{'*' if index in joint else '':2}{100 * accuracy:9.2f}{again:>28}" + "".join(marks))


def show_volumes(part: str, found: Sequence[Found], volumes: Sequence[dict[str, float]]) -> None:
    """One line per search; whether each lies in the first one's interval, and the first one in its."""
    print(f"{part:16}{'wall time, s':>13}{'networks':>10}{'hypervolume':>32}")
    for one, its in zip(found, volumes, strict=True):
        interval = f"{its['hypervolume']:.4f} [{its['low']:.4f}, {its['high']:.4f}]"
        print(f"{one.name:16}{one.seconds:13.0f}{len(one.front):10}{interval:>32}")
    for one, its in zip(found[1:], volumes[1:], strict=True):
        print(f"{one.name} in the interval of {found[0].name}: {is_within(its, volumes[0])}, "
              f"the other way round: {is_within(volumes[0], its)}")  # fmt: skip


def is_within(one: dict[str, float], other: dict[str, float]) -> bool:
    return other["low"] <= one["hypervolume"] <= other["high"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, help="of this CPU, for the space accel-nasbench; else one is made")
    parser.add_argument("--minutes", type=float, default=5.0, help="for the profile, if it is made")
    parser.add_argument("--trials", type=int, default=PRESET.trials)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=5, help="fresh ones, for each network measured again")
    parser.add_argument("--again", action="store_true", help="the measured search with the next seed, too")
    parser.add_argument("--out", type=Path, help="keep profile and runs here, and go on from what is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.out or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        profile, file, made_s = profile_from(arguments.profile, arguments.minutes, folder)
        target_ms = median_ms(profile)
        on_profile = {"name": "profile", "file": str(file), "measure_on": DEVICE}
        plans = [("measured", DEVICE, arguments.seed), ("on the profile", on_profile, arguments.seed)]
        if arguments.again:
            plans.append(("another seed", DEVICE, arguments.seed + 1))
        found = [searched(name, device, target_ms, arguments.trials, seed, folder) for name, device, seed in plans]
        latencies = measured_again(found, arguments.processes)
    worst = min(accuracy for one in found for _, accuracy, _ in one.front) - 0.01
    references = {
        "up to the target": (target_ms, worst),
        "whole": (1.1 * max(latency.high_ms for latency in latencies.values()), worst),
    }
    volumes = {part: [volume(one, latencies, at) for one in found] for part, at in references.items()}
    print(f"{next(iter(latencies.values())).device}\ntarget {target_ms:.2f} ms; profile: {profile.error}")
    if made_s is not None:
        print(f"the profile took {made_s:.0f} s to make")
    show_fronts(found, latencies)
    for part, its_volumes in volumes.items():
        show_volumes(part, found, its_volumes)
    document = {
        "benchmark": "search_profile", "trials": arguments.trials, "seed": arguments.seed, "target_ms": target_ms,
        "profile_seconds": made_s, "profile_error": str(profile.error), "references": references, "volumes": volumes,
        "searches": [
            {"name": one.name, "seconds": one.seconds,
             "front": [[str(a), accuracy, ms, latencies[a.id].latency_ms, latencies[a.id].low_ms,
                        latencies[a.id].high_ms] for a, accuracy, ms in one.front]}
            for one in found
        ],
    }  # fmt: skip
    print(json.dumps(document))


if __name__ == "__main__":
    main()
