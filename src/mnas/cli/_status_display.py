"""How a run's status looks on a terminal, and the estimate before it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.table import Table

from mnas.cli import _console
from mnas.estimate import Decide, Estimate, Range
from mnas.status import Status

_SHOWN_FAILURES = 5  # the latest; all that are known are in the JSON document
_SPENT = {
    "hours": "hours",
    "device_hours": "hours of measuring",
    "accelerator_hours": "hours of training",
}


def print_status(run: Path, status: Status, as_json: bool) -> None:
    """How a run stands: progress, time left, cost, queues, workers, devices, failures."""
    if as_json:
        _console.print_json({"run": str(run), **status.to_dict()})
        return
    out = _console.out()
    for line in _lines(run, status):
        out.print(line, markup=False, soft_wrap=True)
    for table in _tables(status):
        out.print(table, markup=False)
    for number, error in status.activity.failures[-_SHOWN_FAILURES:]:
        out.print(f"trial {number} failed: {error}", markup=False, soft_wrap=True)


def asker(display: _console.LiveDisplay, run: Path, yes: bool) -> Decide:
    """Prints an estimate and asks to go on: yes where that was said before, no where there is nobody to ask."""

    def decide(estimate: Estimate) -> bool:
        with display.paused():
            for line in _estimate_lines(estimate):
                _console.say(line)
            if yes:
                return True
            if not (_console.err.is_terminal and sys.stdin.isatty()):
                _console.say("there is no terminal to ask on: --yes goes on without asking")
                return False
            try:
                return typer.confirm("go on?", err=True)
            except typer.Abort:  # Ctrl-C, or the terminal went
                return False

    return decide


def _estimate_lines(estimate: Estimate) -> Iterator[str]:
    yield (
        f"the first {estimate.trials} of {estimate.total} trials: {estimate.trained} trained, "
        f"{estimate.train_seconds:.3g} s each; measuring {estimate.measure_seconds:.3g} s per trial"
    )
    final = f", {estimate.final_hours:.3g} of them for the comparison at the end" if estimate.final_hours else ""
    yield f"expected: {_range(estimate.hours)} hours{final}"
    yield (
        f"{_range(estimate.accelerator_hours)} hours of training, {_range(estimate.device_hours)} hours of measuring"
    )
    if estimate.money.expected:
        yield f"cost: {_range(estimate.money)} {estimate.currency}"


def _range(values: Range) -> str:
    return f"{values.expected:.3g} (95 % interval {values.low:.3g} - {values.high:.3g})"


def _lines(run: Path, status: Status) -> Iterator[str]:
    counts = _console.counts_line(status.counts, status.best_reward, status.front_size, status.seconds_left)
    yield f"{run}: {_state(status)}, {status.counts.trials} of {status.total} trials, {counts}"
    if status.message:
        yield status.message
    if status.state in ("silent", "failed", "stopped"):
        yield f"go on with: mnas resume {run}"
    if status.trials_per_hour:
        yield f"{status.trials_per_hour:,.3g} trials per hour"
    if status.written:
        yield f"spent: {_spent(status)}"
    if status.state == "running" and status.written:
        queue = status.activity.queue
        kind = "asynchronous" if status.activity.asynchronous else "in batches"
        waiting = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in queue.items())
        yield f"{kind}: {waiting}; {status.activity.retries} tried again"


def _state(status: Status) -> str:
    where = f" on {status.host} (process {status.pid})" if status.host else ""
    if status.state == "silent":
        ago = _console.duration(time.time() - status.written)
        return f"silent: the search{where} wrote nothing for {ago}, and was killed or lost its machine or network"
    if status.state == "running":
        return f"running{where}{': ' if status.phase else ''}{status.phase}"
    return status.state


def _spent(status: Status) -> str:
    """Each amount with its limit, and the money where something costs."""
    parts = [
        f"{getattr(status.spent, name):.3g}{_of(status.budget.get(name))} {said}" for name, said in _SPENT.items()
    ]
    if status.spent.money or status.budget.get("money"):
        parts.append(f"{status.spent.money:,.2f}{_of(status.budget.get('money'))} {status.currency}")
    return ", ".join(parts)


def _of(limit: float | None) -> str:
    return "" if limit is None else f" of {limit:g}"


def _tables(status: Status) -> Iterator[Table]:
    activity = status.activity
    if activity.workers:
        table = Table("worker", "trains", "for", "jobs done", "busy")
        for worker in activity.workers:
            now = _now(worker.trial, worker.since, status.written)
            table.add_row(worker.name, *now, f"{worker.jobs:,}", _console.duration(worker.busy_seconds))
        yield table
    if activity.devices:
        table = Table("device", "measures", "for", "measurements done", "busy")
        for device in activity.devices:
            now = _now(device.trial, device.since, status.written)
            table.add_row(device.name, *now, f"{device.measurements:,}", _console.duration(device.busy_seconds))
        yield table


def _now(trial: int | None, since: float | None, written: float) -> tuple[str, str]:
    if trial is None or since is None:
        return "", ""
    return f"trial {trial}", _console.duration(max(0.0, written - since))
