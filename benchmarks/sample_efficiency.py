"""How many trials a controller needs: mnas' own, Optuna's and pymoo's on the ImageNet surrogate.

    python benchmarks/sample_efficiency.py                      # runs what results/sample_efficiency.csv lacks
    python benchmarks/sample_efficiency.py --controllers local evolution --devices zcu102 --seeds 3
    python benchmarks/sample_efficiency.py --oracle trees --trials 300
    python benchmarks/sample_efficiency.py --noise 0.2 --trials 300
    python benchmarks/sample_efficiency.py --tables             # of what is there, nothing is run
    python benchmarks/sample_efficiency.py --plot               # likewise, and makes the page's figure and tables

The space is `accel-nasbench`, the oracle the surrogates that come with mnas: accuracy by `mlp` (or `trees`),
latency of zcu102 and a100. Goals: the soft and the hard reward with the target at the space's median latency,
told as regret (points of reward x 100 below the best known, of the network with the best reward so far), and
the front, told as hypervolume (reference: 50 % top-1 and the 99th percentile of latency) as a part of the best
known. What is best known was climbed in the open and is kept in results/sample_efficiency_optima.json. --noise
adds to the accuracies told, the same to a network within a search; what is scored is without it.

Searches that the CSV holds to as many trials are not run again, unless --again is given. Time is of ask and tell
alone, of the processor, on one thread. docs/sample_efficiency.md tells what came out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import argparse
import contextlib
import csv
import io
import itertools
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import optuna
import torch
from sample_efficiency_report import plot, print_disagreement, print_second_opinion, print_tables
from sample_efficiency_rivals import RIVALS
from sample_efficiency_search import FIELDS, Job, search

from mnas.errors import StopError

RESULTS = Path(__file__).parent / "results" / "sample_efficiency.csv"
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "sample_efficiency.png"
PAGE = Path(__file__).parents[1] / "docs" / "sample_efficiency.md"
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
DEVICES = ("zcu102", "a100")

Row = dict[str, str]
Key = tuple[str, ...]


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    if not (options.tables or options.plot):
        run(jobs(options), options.results, options.again)
    rows = list(read(options.results).values())
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_tables(rows)
        print_second_opinion(rows)
        print_disagreement(DEVICES)
    print(text.getvalue())
    if options.plot:
        plot(rows, FIGURE)
        write_page(text.getvalue())


def write_page(tables: str) -> None:
    """Put the tables into the page of the documentation, between its two marks."""
    text = PAGE.read_text(encoding="utf-8")
    if not 0 <= text.find(BEGIN) < text.find(END):
        raise StopError(f"{PAGE} should have a line {BEGIN!r} and later a line {END!r}, between which tables go")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{end}{after}", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controllers", nargs="+", choices=list(RIVALS), default=list(RIVALS), metavar="NAME")
    parser.add_argument("--devices", nargs="+", choices=DEVICES, default=list(DEVICES))
    parser.add_argument("--goals", nargs="+", choices=("soft", "hard", "front"), default=["soft", "hard", "front"])
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0 (default: 10)")
    parser.add_argument("--trials", type=int, help="at most so many (default: 8,000, fewer for the slow ones)")
    parser.add_argument("--longer", action="store_true", help="--trials also beyond where the slow ones end")
    parser.add_argument("--again", action="store_true", help="run also what the file holds, as after a change")
    parser.add_argument("--oracle", choices=("mlp", "trees"), default="mlp")
    parser.add_argument("--noise", type=float, default=0.0, help="of the accuracies told, in points (default: 0)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the CSV file (default: the committed one)")
    parser.add_argument("--tables", action="store_true", help="run nothing, print the tables")
    parser.add_argument("--plot", action="store_true", help="run nothing, make the page's figure and tables")
    return parser.parse_args()


def jobs(options: argparse.Namespace) -> list[Job]:
    """Every search that was asked for and can run here, seed after seed."""
    wanted = []
    for name in options.controllers:
        if RIVALS[name].missing:
            print(f"{name} is left out: {RIVALS[name].missing}", flush=True)
        else:
            wanted.append(name)
    return [
        Job(name, device, options.oracle, options.noise, goal, seed, _trials(name, goal, options))
        for seed, name, device, goal in itertools.product(
            range(options.seeds), wanted, options.devices, options.goals
        )
        if goal in RIVALS[name].goals
    ]


def _trials(name: str, goal: str, options: argparse.Namespace) -> int:
    rival = RIVALS[name]
    most = min(rival.trials, rival.front_trials) if goal == "front" else rival.trials
    if options.trials is None:
        return most
    return int(options.trials) if options.longer else min(int(options.trials), most)


def run(jobs: Iterable[Job], results: Path, again: bool = False) -> None:
    """Run what the file lacks (or everything again), and write each search to it as soon as it is finished."""
    for job in jobs:
        stored = read(results)
        rows = [stored.get(job.key(goal)) for goal in job.scored]
        if not again and all(row is not None and int(row["trials"]) >= job.trials for row in rows):
            continue
        began = time.perf_counter()
        fresh = search(job)
        stored = read(results)  # another process may have added to it
        stored.update({job.key(row["goal"]): row for row in fresh})
        write(results, stored)
        told = ", ".join(f"{row['goal']} {row['curve'].split(':')[-1]}" for row in fresh)
        print(f"{' '.join(job.key(job.scored[0]))}: {told} ({time.perf_counter() - began:.1f} s)", flush=True)


def read(path: Path) -> dict[Key, Row]:
    """The rows of the file, by what names them."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {tuple(row[name] for name in FIELDS[:7]): row for row in csv.DictReader(file)}


def write(path: Path, rows: dict[Key, Row]) -> None:
    """All rows in the order of their names; a file is never left half written."""
    path.parent.mkdir(exist_ok=True, parents=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows, key=lambda key: (*key[:-1], int(key[-1]))))
    partial.replace(path)


if __name__ == "__main__":
    main()
