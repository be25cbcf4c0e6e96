"""Experiment: searches whose results go to a CSV, from which a table, a figure and a JSON line are made."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import matplotlib as mpl
import numpy as np
import torch
from _page import ROOT, publish
from matplotlib.figure import Figure

Row = dict[str, str]


class Job(Protocol):
    """A frozen dataclass of plain values, which name a search; `trials` and `seed` are among them."""

    @property
    def seed(self) -> int:
        """Of the controller."""
        ...

    @property
    def trials(self) -> int:
        """How long it is."""
        ...


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Experiment(Generic[J]):
    """One of the paper's experiments, as a script runs it.

    `main(["--seeds", "1", "--trials", "60", "--results", "some.csv"])` runs little of it; figure and page then
    stay as they are, and the figure of these results lies beside the CSV.
    """

    name: str
    jobs: Callable[[int | None], list[J]]  # every search of so many seeds (None: the page's), seed after seed
    run: Callable[[J], dict[str, Any]]  # a search's results, as columns
    tables: Callable[[Sequence[tuple[J, Row]]], str]  # Markdown
    summary: Callable[[Sequence[tuple[J, Row]]], dict[str, Any]]  # for the JSON line
    plot: Callable[[Sequence[tuple[J, Row]]], Figure]

    @property
    def results(self) -> Path:
        """The CSV that is committed."""
        return ROOT / "experiments" / "results" / f"{self.name}.csv"

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Run what the CSV lacks; print table and JSON line; make the figure, and the tables in the page."""
        torch.set_num_threads(1)
        options = self._options(arguments)
        jobs = self._jobs(options)
        if not options.plot:
            self._run(jobs, options.results)
        stored = _read(options.results)
        found = [(job, stored[key]) for job in jobs if (key := _key(job)) in stored]
        text = self.tables(found)
        print(text)
        print(json.dumps({"experiment": self.name, **self.summary(found)}))
        mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
        is_committed = options.results == self.results and options.seeds is None and options.trials is None
        publish(self.name, text, self.plot(found), options.results, is_committed)

    def _options(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        parser = argparse.ArgumentParser(prog=f"experiments/{self.name}.py", description=self.main.__doc__)
        parser.add_argument("--seeds", type=int, help="how many, from 0 (default: the page's)")
        parser.add_argument("--trials", type=int, help="at most so many per search (default: the page's)")
        parser.add_argument("--results", type=Path, default=self.results, help="the CSV (default: the committed one)")
        parser.add_argument("--plot", action="store_true", help="run nothing, make figure and table from the CSV")
        return parser.parse_args(arguments)

    def _jobs(self, options: argparse.Namespace) -> list[J]:
        jobs = self.jobs(options.seeds)
        if options.trials is None:
            return jobs
        return [
            dataclasses.replace(job, trials=min(job.trials, options.trials))  # type: ignore[type-var]
            for job in jobs
        ]

    def _run(self, jobs: Iterable[J], path: Path) -> None:
        """Each search is in the file as soon as it is finished."""
        for job in jobs:
            if _key(job) in _read(path):
                continue
            began = time.perf_counter()
            values = {**dataclasses.asdict(job), **self.run(job)}  # type: ignore[call-overload]
            row = {name: _cell(value) for name, value in values.items()}
            stored = _read(path)  # another process may have added to it
            stored[_key(job)] = row
            _write(path, stored)
            print(f"{self.name}: {' '.join(_key(job))} ({time.perf_counter() - began:.1f} s)", flush=True)


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *lines))


def spread(values: Iterable[float], form: str = ".2f") -> str:
    """Median, and quartiles in brackets where there are several values."""
    numbers = list(values)
    low, median, high = np.percentile(numbers, (25, 50, 75))
    return f"{median:{form}} [{low:{form}}, {high:{form}}]" if len(numbers) > 1 else f"{median:{form}}"


def numbers(cell: str) -> list[float]:
    """The numbers of a cell that holds several."""
    return [float(value) for value in cell.split()]


def _cell(value: Any) -> str:
    """A value as the CSV has it; several are separated by spaces."""
    if isinstance(value, list | tuple | np.ndarray):
        return " ".join(map(_cell, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _key(job: Job) -> tuple[str, ...]:
    return tuple(_cell(value) for value in dataclasses.astuple(job))  # type: ignore[call-overload]


def _read(path: Path) -> dict[tuple[str, ...], Row]:
    """The rows by what names them: the columns up to `trials`."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0])[: list(rows[0]).index("trials") + 1] if rows else []
    return {tuple(row[name] for name in names): row for row in rows}


def _write(path: Path, rows: dict[tuple[str, ...], Row]) -> None:
    """All rows in the order of their names; a file is never left half written."""
    path.parent.mkdir(exist_ok=True, parents=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    ordered = [rows[key] for key in sorted(rows, key=lambda key: [_sortable(value) for value in key])]
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(ordered[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)
    partial.replace(path)


def _sortable(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return float("inf"), value
