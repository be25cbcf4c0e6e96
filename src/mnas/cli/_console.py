"""The terminal: what is said while something goes on, and what all that is shown there is written with."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mnas.loop import Progress as SearchProgress
from mnas.loop import Watch
from mnas.result import Counts

err = Console(stderr=True, highlight=False)
_LINE_SECONDS = 10.0  # between lines where standard error is no terminal


def say(text: str) -> None:
    """A line for people."""
    err.print(text, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class LiveDisplay:
    """What to call with each progress, and a context in which the display leaves the terminal to others."""

    watch: Watch
    paused: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


@contextlib.contextmanager
def live() -> Iterator[LiveDisplay]:
    """A live display on a terminal, a line now and then elsewhere."""
    if not err.is_terminal:
        yield LiveDisplay(_liner())
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[line]}"),
        console=err,
    )  # fmt: skip
    task = bar.add_task("trials", total=None, line="")
    with Live(bar, console=err, refresh_per_second=5) as display:

        def watch(progress: SearchProgress) -> None:
            bar.update(
                task, total=progress.total, completed=progress.counts.trials, description=progress.phase,
                line=_line(progress),
            )  # fmt: skip

        @contextlib.contextmanager
        def paused() -> Iterator[None]:
            display.stop()
            try:
                yield
            finally:
                display.start()

        yield LiveDisplay(watch, paused)


@contextlib.contextmanager
def phases() -> Iterator[Callable[[str], None]]:
    """What is being done: one line that changes on a terminal, a line now and then elsewhere."""
    if err.is_terminal:
        with err.status("") as status:
            yield lambda phase: status.update(phase)
        return
    last = [-_LINE_SECONDS]

    def watch(phase: str) -> None:
        if time.monotonic() - last[0] >= _LINE_SECONDS:
            last[0] = time.monotonic()
            say(phase)

    yield watch


def _liner() -> Watch:
    """A line every few seconds, and one for each phase once all trials are there."""
    said, phase = 0.0, ""

    def watch(progress: SearchProgress) -> None:
        nonlocal said, phase
        now = time.monotonic()
        is_next_phase = progress.counts.trials >= progress.total and progress.phase != phase
        if is_next_phase or now - said >= _LINE_SECONDS:
            said, phase = now, progress.phase
            say(f"{progress.phase}: {progress.counts.trials} of {progress.total} trials, {_line(progress)}")

    return watch


def _line(progress: SearchProgress) -> str:
    return counts_line(progress.counts, progress.best_reward, progress.front_size, progress.seconds_left)


def counts_line(counts: Counts, best_reward: float | None, front_size: int, seconds_left: float | None) -> str:
    """How many trials ended how, what came of them, and how long it still takes."""
    best = "-" if best_reward is None else f"{best_reward:.4f}"
    left = "" if seconds_left is None else f", {duration(seconds_left)} left"
    return (
        f"{counts.distinct} evaluated{stopped_early(counts)}, {counts.cached} cached, "
        f"{counts.infeasible} infeasible, {counts.failed} failed, best reward {best}, front {front_size}{left}"
    )


def stopped_early(counts: Counts) -> str:
    """How many trainings ended early, if any did."""
    if not counts.stopped:
        return ""
    return f" ({counts.stopped} stopped early, {100 * counts.epochs_saved / counts.epochs:.0f} % of epochs saved)"


def duration(seconds: float) -> str:
    """Seconds as people write them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes}:{rest:02}"


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    json.dump(document, sys.stdout, allow_nan=False, indent=2)
    sys.stdout.write("\n")


def out() -> Console:
    """Standard output; where it is no terminal, wide enough for tables."""
    wide = None if sys.stdout.isatty() else 160
    return Console(highlight=False, width=wide)
