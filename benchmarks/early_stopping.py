"""Early stopping, replayed on learning curves of real trainings: what is stopped of the front, and what is saved.

    python benchmarks/early_stopping.py                       # the recorded curves, half a minute
    python benchmarks/early_stopping.py other_curves.csv      # other curves with the same columns
    python benchmarks/early_stopping.py --record              # train and record first, half an hour

Each repetition draws two thirds of the networks in a random order, as a random search might have proposed them, and
decides batch by batch as a search does. Its true front is that of all of its final accuracies, which only the
benchmark knows. A second kind of order puts better networks later, as a search that learns does.

Beside the rule stand two that look at accuracy alone, as pruners do: successive halving (goes on with the best
1 / factor of what reached a rung) and the median rule (ends what is below the median at that epoch). They start after
as many whole curves as the rule.

Recorded: networks of the quickstart's space on its digits, 12 epochs of the proxy task on one thread. Latencies are
the simulated device's formula, in ms: they do not depend on the machine's load.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mnas.accuracy import ProxyTask, StopBelow
from mnas.datasets import DigitsDataset
from mnas.devices import SimulatedDevice
from mnas.judging import training_seed
from mnas.objective import Latency, Measurement, WeightedProduct
from mnas.pareto import hypervolume, pareto_front
from mnas.space import Architecture, mnasnet_space
from mnas.stopping import StoppingRule
from mnas.trial import Trial, TrialState

RECORDED = Path(__file__).parent / "results" / "early_stopping_curves.csv"
COLUMNS = ("architecture", "latency_ms", "seed", "epoch", "accuracy")
RESOLUTION, EPOCHS = 16, 12
BATCH = 5
PART = 2 / 3  # of the recorded networks, in each repetition
OBJECTIVE = WeightedProduct.soft(1.0)
ANY = Architecture.parse("ds_r1_k3_s1_c16")  # the rule never looks at an architecture

Row = dict[str, Any]
Decide = Callable[[Sequence[Trial], float], StopBelow]


@dataclass(frozen=True)
class Outcome:
    """What became of one repetition."""

    front: int
    front_stopped: int
    stopped: float  # share of all networks
    saved: float  # share of all epochs
    kept: float  # hypervolume of the front that was found, as a share of the true one


def networks(count: int) -> list[Architecture]:
    """Different random members of the quickstart's space."""
    space = mnasnet_space(0.35, RESOLUTION, (1, 1, 2, 2, 1, 1, 1), 2, 128, classes=10, input_channels=1)
    generator = random.Random(0)
    found: dict[str, Architecture] = {}
    while len(found) < count:
        architecture = space.decode(space.sample(generator))
        found.setdefault(architecture.id, architecture)
    return list(found.values())


def record(path: Path, count: int) -> None:
    """Train networks and write their curves, each when it is finished; what is in the file already is left out."""
    task, device = ProxyTask(DigitsDataset(resolution=RESOLUTION), epochs=EPOCHS), SimulatedDevice()
    known = {row["architecture"] for row in csv.DictReader(path.read_text().splitlines())} if path.exists() else set()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not known:
            writer.writerow(COLUMNS)
        for number, architecture in enumerate(networks(count)):
            if architecture.id not in known:
                seed, ms = training_seed(0, number), device.measure(architecture).latency_ms
                curve = task.estimate(architecture, seed).curve
                points = enumerate(curve, start=1)
                writer.writerows((architecture.id, f"{ms:.6g}", seed, epoch, f"{a:.6f}") for epoch, a in points)
                file.flush()


def load(path: Path) -> list[Trial]:
    """A COMPLETE trial per network: its first training of the most epochs. What is not whole is left out."""
    trainings: dict[tuple[str, ...], dict[int, float]] = {}
    latencies: dict[str, float] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            latencies[row["architecture"]] = float(row["latency_ms"])
            name = row["architecture"], *(value for key, value in row.items() if key not in ("epoch", "accuracy"))
            trainings.setdefault(name, {})[int(row["epoch"])] = float(row["accuracy"])
    epochs = max(map(len, trainings.values()))
    whole: dict[str, tuple[float, ...]] = {}
    for (architecture, *_), points in trainings.items():
        if len(points) == epochs:
            whole.setdefault(architecture, tuple(points[epoch] for epoch in sorted(points)))
    return [_trial(curve, latencies[architecture]) for architecture, curve in whole.items()]


def _trial(curve: tuple[float, ...], ms: float) -> Trial:
    measurement = Measurement(0, 0, 0, Latency(ms, ms, ms, "recorded", "recorded"), curve[-1], "recorded")
    return Trial(0, (), ANY, TrialState.COMPLETE, OBJECTIVE.reward(measurement), measurement, curve=curve)


# -- rules ----------------------------------------------------------------------------------------------------------


def ours(epochs: int, **settings: float) -> Decide:
    rule = StoppingRule(epochs, **settings)  # type: ignore[arg-type]
    known: list[object] = [None, None]  # of a batch the evidence is the same

    def decide(told: Sequence[Trial], latency_ms: float) -> StopBelow:
        if known[0] != len(told):
            known[:] = len(told), rule.learn(told, OBJECTIVE, "recorded")
        return known[1].below(latency_ms)  # type: ignore[attr-defined, no-any-return]

    return decide


def halving(epochs: int, factor: int, first: int = 12) -> Decide:
    """Of what reached a rung the best 1 / factor go on."""
    rungs = StoppingRule(epochs, factor).rungs

    def decide(told: Sequence[Trial], latency_ms: float) -> StopBelow:
        found = [(epoch, _accuracies(told, epoch)) for epoch in rungs if len(told) >= first]
        return StopBelow(tuple((epoch, seen[int(len(seen) * (1 - 1 / factor))]) for epoch, seen in found))

    return decide


def median(epochs: int, first: int = 12) -> Decide:
    """What is below the median of what reached an epoch ends there."""

    def decide(told: Sequence[Trial], latency_ms: float) -> StopBelow:
        looked = range(1, epochs) if len(told) >= first else ()
        return StopBelow(tuple((epoch, statistics.median(_accuracies(told, epoch))) for epoch in looked))

    return decide


def _accuracies(told: Sequence[Trial], epoch: int) -> list[float]:
    return sorted(trial.curve[epoch - 1] or 0.0 for trial in told if len(trial.curve) >= epoch)


# -- replay ---------------------------------------------------------------------------------------------------------


def replay(trials: Sequence[Trial], decide: Decide) -> Outcome:
    """Decide on these trials in their order, batch by batch."""
    told: list[Trial] = []
    for start in range(0, len(trials), BATCH):
        told += [_ended(trial, decide(told, trial.latency_ms or 0.0)) for trial in trials[start : start + BATCH]]
    true, found = pareto_front(trials), {trial.number for trial in pareto_front(told)}
    stopped = {trial.number for trial in told if trial.state is TrialState.STOPPED}
    whole = sum(len(trial.curve) for trial in trials)
    return Outcome(
        front=len(true),
        front_stopped=sum(trial.number in stopped for trial in true),
        stopped=len(stopped) / len(trials),
        saved=1 - sum(len(trial.curve) for trial in told) / whole,
        kept=_volume([trial for trial in trials if trial.number in found], trials) / _volume(true, trials),
    )


def _ended(trial: Trial, below: StopBelow) -> Trial:
    for epoch, accuracy in enumerate(trial.curve, start=1):
        if epoch < len(trial.curve) and below.stops(epoch, accuracy or 0.0):
            measurement = replace(trial.measurement, accuracy=accuracy)
            return replace(trial, state=TrialState.STOPPED, curve=trial.curve[:epoch], measurement=measurement)
    return trial


def _volume(front: Iterable[Trial], trials: Sequence[Trial]) -> float:
    reference = max(t.latency_ms or 0.0 for t in trials) * 1.1, min(t.accuracy or 0.0 for t in trials)
    return hypervolume([(t.latency_ms or 0.0, t.accuracy or 0.0) for t in front], reference)


def ordered(trials: Sequence[Trial], seed: int, is_learning: bool) -> list[Trial]:
    """A random two thirds in a random order; of a search that learns, with better networks rather later."""
    generator = random.Random(seed)
    drawn = generator.sample(list(trials), round(PART * len(trials)))
    if is_learning:
        ranks = {id(t): rank for rank, t in enumerate(sorted(drawn, key=lambda t: _merit(t, drawn)))}
        drawn.sort(key=lambda t: ranks[id(t)] + generator.uniform(-0.5, 0.5) * len(drawn))
    return [replace(trial, number=number) for number, trial in enumerate(drawn)]


def _merit(trial: Trial, trials: Sequence[Trial]) -> float:
    """How far it lies above the best of what is as quick, itself left out; the quickest lies above all."""
    quicker = [t.accuracy or 0.0 for t in trials if t is not trial and (t.latency_ms or 0) <= (trial.latency_ms or 0)]
    return (trial.accuracy or 0.0) - max(quicker, default=0.0)


def rows_of(orders: Sequence[Sequence[Trial]]) -> list[Row]:
    """A row per rule."""
    epochs = len(orders[0][0].curve)
    rules: dict[str, Callable[[], Decide]] = {
        "ours": lambda: ours(epochs),
        "ours, risk 0.01": lambda: ours(epochs, risk=0.01),
        "ours, risk 0.2": lambda: ours(epochs, risk=0.2),
        "ours, factor 3": lambda: ours(epochs, factor=3),
        "ours, factor 4": lambda: ours(epochs, factor=4),
        "successive halving, factor 2": lambda: halving(epochs, 2),
        "successive halving, factor 3": lambda: halving(epochs, 3),
        "successive halving, factor 4": lambda: halving(epochs, 4),
        "median": lambda: median(epochs),
    }
    return [_row(name, [replay(order, make()) for order in orders]) for name, make in rules.items()]


def _row(name: str, outcomes: Sequence[Outcome]) -> Row:
    front = sum(outcome.front for outcome in outcomes)
    return {
        "rule": name,
        "front_stopped": sum(outcome.front_stopped for outcome in outcomes) / front,
        "stopped": statistics.fmean(outcome.stopped for outcome in outcomes),
        "epochs_saved": statistics.fmean(outcome.saved for outcome in outcomes),
        "hypervolume_kept": statistics.fmean(outcome.kept for outcome in outcomes),
        "hypervolume_kept_worst": min(outcome.kept for outcome in outcomes),
    }


def table(rows: Sequence[Row]) -> str:
    """The rows for people, in percent."""
    keys = ("front_stopped", "stopped", "epochs_saved", "hypervolume_kept", "hypervolume_kept_worst")
    head = (
        "| rule | of the front stopped | of all stopped | epochs saved | hypervolume kept | at worst |\n" + "|---" * 6
    )
    lines = [f"| {row['rule']} | " + " | ".join(f"{100 * row[key]:.1f} %" for key in keys) + " |" for row in rows]
    return "\n".join([f"{head}|", *lines])


def heading(trials: Sequence[Trial], orders: Sequence[Sequence[Trial]]) -> str:
    """What was replayed."""
    fronts = [pareto_front(order) for order in orders]
    size = statistics.fmean(map(len, fronts))
    different = len({trial.curve for front in fronts for trial in front})
    return (
        f"{len(orders)} repetitions of {len(orders[0])} of {len(trials)} networks, {len(trials[0].curve)} epochs; "
        f"true fronts have {size:.1f} networks, {different} different ones in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="?", type=Path, default=RECORDED)
    parser.add_argument("--record", action="store_true", help="train and record first")
    parser.add_argument("--networks", type=int, default=94, help="to record")
    parser.add_argument("--repetitions", type=int, default=100)
    args = parser.parse_args()
    if args.record:
        record(args.curves, args.networks)
    trials = load(args.curves)
    document: dict[str, Any] = {"curves": args.curves.name, "networks": len(trials)}
    for order in ("random", "learning"):
        orders = [ordered(trials, seed, is_learning=order == "learning") for seed in range(args.repetitions)]
        print(f"\n{heading(trials, orders)}, {order} order\n")
        document[order] = rows_of(orders)
        print(table(document[order]))
    print(f"\n{json.dumps(document)}")


if __name__ == "__main__":
    main()
