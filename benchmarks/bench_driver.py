"""What a search costs beside its trainings and measurements: time per trial, memory, and the time to go on.

    python benchmarks/bench_driver.py [--trials 10000] [--stored 100000] [--parts overhead memory resume]

Overhead: a search on the simulated device with simulated accuracy, which are formulas, told trial by trial; all of
its time but theirs is the driver's: asking, decoding, counting, storing (on disk when a call returns), telling, and
status. Processor time is given beside it: the difference is mostly the disk's, four commits a trial.

Memory: what a run with so many stored trials adds to a process that opens it to go on. A trial is as long as one of a
real search: 20 samples of its latency, the device's environment, a curve of 5 epochs.

Resume: from the command to the next proposal, from the controller's snapshot and, beside it, by replaying all. What
`guided` knows was found by `evolution` here, which proposes 10,000 trials more quickly; it is not replayed.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mnas
from mnas.accuracy import SimulatedAccuracy
from mnas.controllers import Controller
from mnas.devices import SimulatedDevice
from mnas.evaluator import Evaluator
from mnas.executors import InProcessExecutor
from mnas.loop import Progress, SearchLoop
from mnas.objective import WeightedProduct
from mnas.registry import make
from mnas.snapshots import Snapshots
from mnas.space import mnasnet_space
from mnas.storage import RunStorage
from mnas.testing import simulated_trial
from mnas.trial import Proposal

SPACE, OBJECTIVE = mnasnet_space(), WeightedProduct.soft(target_ms=20.0)
REPLAYED = ("random", "evolution", "ppo")
TENTHS = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--stored", type=int, default=100_000)
    parser.add_argument("--parts", nargs="+", default=["overhead", "memory", "resume"])
    parser.add_argument("--open", type=Path, help="only open this run as a search does, and say what that takes")
    parser.add_argument("--controller", default="random")
    parser.add_argument("--replay", action="store_true")
    arguments = parser.parse_args()
    if arguments.open:
        print(json.dumps(_opened(arguments.open, arguments.controller, arguments.replay)))
        return
    rows: dict[str, Any] = {}
    if "overhead" in arguments.parts:
        rows["overhead"] = {name: _overhead(name, arguments.trials) for name in ("random", "evolution")}
        for name, found in rows["overhead"].items():
            tenths = " ".join(f"{ms:.2f}" for ms in found["ms_by_tenth"])
            print(f"{name:10} {found['cpu_ms']:.2f} ms of processor time per trial; wall time, by tenths: {tenths}")
    if "memory" in arguments.parts:
        rows["memory"] = _memory(arguments.stored)
        print(f"{arguments.stored:,} stored trials: {rows['memory']}")
    if "resume" in arguments.parts:
        rows["resume_s"] = dict(_resumes(arguments.trials))
        for name, seconds in rows["resume_s"].items():
            print(f"{name:10} {arguments.trials:,} trials: {seconds}")
    print(json.dumps({"benchmark": "driver", "trials": arguments.trials, "stored": arguments.stored, **rows}))


def _overhead(controller: str, trials: int) -> dict[str, Any]:
    """Milliseconds per trial of a search, in each tenth of it, less what the two formulas take."""
    times: list[tuple[int, float, float]] = []

    def watch(progress: Progress) -> None:
        times.append((progress.counts.trials, time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        mnas.search(
            device="simulated", accuracy="simulated", dataset=None, controller=controller, trials=trials, workers=0,
            asynchronous=True, final={"top": 0}, out=Path(folder) / "run", watch=watch,
        )  # fmt: skip
    searching = [row for row in times if row[0] > 0]  # without what comes before the first trial
    ends = [next(row for row in searching if row[0] >= trials * tenth // TENTHS) for tenth in range(TENTHS + 1)]
    formulas = _formulas_ms()
    per_trial = [(1e3 * (b[1] - a[1]) / (b[0] - a[0]) - formulas) for a, b in itertools.pairwise(ends)]
    cpu = 1e3 * (ends[-1][2] - ends[0][2]) / (ends[-1][0] - ends[0][0]) - formulas
    return {"ms_by_tenth": per_trial, "cpu_ms": cpu, "formulas_ms": formulas}


def _formulas_ms() -> float:
    networks = [SPACE.decode(SPACE.sample(random.Random(seed))) for seed in range(200)]
    began = time.perf_counter()
    for network in networks:
        SimulatedDevice().measure(network)
        SimulatedAccuracy().estimate(network, 0)
    return 1e3 * (time.perf_counter() - began) / len(networks)


def _memory(stored: int) -> dict[str, float]:
    """Megabytes on disk, and megabytes and seconds to open, for a run of so many trials."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with RunStorage.create(folder, {"seed": 0}) as storage:
            _fill(storage, stored)
        opened = _in_a_process(folder, "random", replay=False)
        return {"file_mb": (folder / "trials.sqlite").stat().st_size / 1e6, **opened}


def _fill(storage: RunStorage, stored: int) -> None:
    """So many trials, asked and told twenty by twenty; all in one transaction, for this is not what is measured."""
    generator = random.Random(0)
    example = simulated_trial(SPACE, 0, SPACE.sample(generator))
    assert example.measurement.latency is not None
    environment = {"governor": "performance", "temperature_c": 51.5, "spells": 20, "model_bytes": 15_000_000}
    storage._connection.execute("BEGIN")
    controller = make("controller", "random", {}, space=SPACE, seed=0, objective=OBJECTIVE, warm_start=())
    for start in range(0, stored, 20):
        proposals = [Proposal(start + i, tokens) for i, tokens in enumerate(controller.ask(20))]
        storage.add_ask(proposals)
        trials = []
        for proposal in proposals:
            samples = tuple(generator.gauss(20.0, 1.0) for _ in range(20))
            latency = replace(example.measurement.latency, samples_ms=samples, environment=environment)
            measurement = replace(example.measurement, latency=latency, accuracy=generator.random())
            architecture = SPACE.decode(proposal.tokens)
            curve = tuple(generator.random() for _ in range(5))
            trials.append(
                replace(example, number=proposal.number, tokens=proposal.tokens, architecture=architecture,
                        measurement=measurement, curve=curve)
            )  # fmt: skip
            storage.add_trial(trials[-1])
        storage.add_tell(trials, None)
    Snapshots(storage).keep(controller, is_last=True)
    storage._connection.execute("COMMIT")


def _resumes(trials: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Seconds to go on with a run of so many trials, by controller."""
    with tempfile.TemporaryDirectory() as name:
        for controller in REPLAYED:
            folder = Path(name) / controller
            _search_by_formula(folder, controller, trials)
            snapshot, replay = (_in_a_process(folder, controller, flag)["seconds"] for flag in (False, True))
            yield controller, {"snapshot": snapshot, "replay": replay}
        folder = Path(name) / "evolution"
        _tell_all(folder, "guided")
        yield "guided", {"snapshot": _in_a_process(folder, "guided", replay=False)["seconds"]}


def _search_by_formula(folder: Path, name: str, trials: int) -> None:
    """A run of that controller, in one transaction."""
    controller = _controller(name)
    with RunStorage.create(folder, {"seed": 0}) as storage:
        storage._connection.execute("BEGIN")
        for start in range(0, trials, controller.batch):
            tokens = controller.ask(min(controller.batch, trials - start))
            storage.add_ask([Proposal(start + i, row) for i, row in enumerate(tokens)])
            told = [simulated_trial(SPACE, start + i, row) for i, row in enumerate(tokens)]
            for trial in told:
                storage.add_trial(trial)
            storage.add_tell(told, controller.tell(told))
        Snapshots(storage).keep(controller, is_last=True)
        storage._connection.execute("COMMIT")


def _tell_all(folder: Path, name: str) -> None:
    """Another controller is told what a run found, and its state stored there."""
    controller = _controller(name)
    with RunStorage.create(folder, {"seed": 0}) as storage:
        trials = storage.trials()
        for start in range(0, len(trials), 1000):
            controller.tell(trials[start : start + 1000])
            controller.ask(controller.batch)
        Snapshots(storage).keep(controller, is_last=True)


def _in_a_process(folder: Path, controller: str, replay: bool) -> dict[str, float]:
    command = [sys.executable, __file__, "--open", str(folder), "--controller", controller]
    done = subprocess.run([*command, *(["--replay"] if replay else [])], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _opened(folder: Path, name: str, replay: bool) -> dict[str, float]:
    """Seconds and megabytes from the command to where the next proposals would be asked for."""
    controller = _controller(name)
    gc.collect()
    before, began = _megabytes(), time.perf_counter()
    with RunStorage.create(folder, {"seed": 0}) as storage:
        evaluator = Evaluator(
            SPACE, OBJECTIVE, SimulatedDevice(), SimulatedAccuracy(), InProcessExecutor(), storage, seed=0
        )
        snapshots = None if replay else Snapshots(storage)
        loop = SearchLoop(
            controller, evaluator, storage, len(evaluator.trials) + 1, may_ask=lambda: False, snapshots=snapshots
        )
        loop.run()
        seconds = time.perf_counter() - began
        gc.collect()
        return {"seconds": seconds, "memory_mb": _megabytes() - before, "peak_mb": _peak_megabytes()}


def _controller(name: str) -> Controller:
    controller: Controller = make("controller", name, {}, space=SPACE, seed=0, objective=OBJECTIVE, warm_start=())
    return controller


def _megabytes() -> float:
    """Resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
