"""How trainings, scores and exported files look on a terminal, and as JSON."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from mnas.cli import _console
from mnas.detection_scores import DetectionScores
from mnas.scores import Scores
from mnas.views import with_interval

if TYPE_CHECKING:
    from mnas.export import Exported, ExportedDetector
    from mnas.model_folder import ModelFolder
    from mnas.model_run import Watch
    from mnas.training import Progress

_LINE_SECONDS = 10.0  # between a training's lines where standard error is no terminal


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """A progress bar on a terminal, a line now and then elsewhere; gives what to tell phases and steps to."""
    from mnas.model_run import Watch

    if not _console.err.is_terminal:
        yield Watch(_console.say, _liner())
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[line]}"))
    with Bar(*columns, console=_console.err, refresh_per_second=5) as bar:
        task = bar.add_task("", total=None, line="")

        def phase(words: str) -> None:
            bar.reset(task, total=None, description=words, line="")

        def step(progress: Progress) -> None:
            bar.update(task, total=progress.steps, completed=progress.step, line=_line(progress))

        yield Watch(phase, step)


def print_model(model: ModelFolder, was_finished: bool, as_json: bool) -> None:
    """A trained model: where it lies and what it got right."""
    path, scores = model.path, model.scores()
    lines = [
        *(summary(part, row) for part, row in scores.items()),
        f"model: {model.model_file}, card: {path / 'card.html'}",
        f"go on with: mnas evaluate {path} --split test; mnas export {path}",
    ]
    print_trained(model, scores, lines, was_finished, as_json)


def print_trained(
    model: ModelFolder,
    scores: Mapping[str, Scores | DetectionScores],
    lines: Sequence[str],
    was_finished: bool,
    as_json: bool,
) -> None:
    """What came of a training: its scores by split, or for people these lines."""
    if as_json:
        _console.print_json(
            {
                "model": str(model.path),
                "architecture": str(model.settings().architecture),
                "curve": [row["accuracy"] for row in model.curve()],
                "scores": {part: row.to_dict() for part, row in scores.items()},
            }
        )
        return
    out = _console.out()
    if was_finished:
        out.print(f"{model.path} was trained to the end before; nothing was trained now", markup=False)
    for line in lines:
        out.print(line, markup=False)


def print_scores(folder: Path, part: str, scores: Scores, as_json: bool) -> None:
    """Scores of a split: the whole, the classes, the most frequent mistakes."""
    if as_json:
        _console.print_json({"model": str(folder), "split": part, **scores.to_dict()})
        return
    out = _console.out()
    out.print(summary(part, scores))
    table = Table("class", "images", "precision %", "recall %", "F1 %")
    for row in scores.classes:
        fractions = (f"{100 * value:.2f}" for value in (row.precision, row.recall, row.f1))
        table.add_row(row.name, f"{row.images:,}", *fractions)
    out.print(table, markup=False)
    for truth, given, count in scores.confused(5):
        out.print(f"{count:,} of {truth} were taken for {given}", markup=False)


def print_exports(folder: Path, exports: Sequence[Exported], as_json: bool) -> None:
    """Files that were written, and how they compare with the model."""
    if as_json:
        _console.print_json({"model": str(folder), "exports": [export_document(row) for row in exports]})
        return
    print_files(exports_table(exports), exports)


def print_files(table: Table, exports: Sequence[Exported | ExportedDetector]) -> None:
    """A table of files, and why those that have no latency have none."""
    out = _console.out()
    out.print(table, markup=False)
    for row in exports:
        if row.unmeasured:
            out.print(f"{row.path.name} was not measured: {row.unmeasured}", markup=False)


def _liner() -> Any:
    last = [0.0]

    def step(progress: Progress) -> None:
        now = time.monotonic()
        if now - last[0] >= _LINE_SECONDS or progress.step == progress.steps:
            last[0] = now
            _console.say(f"step {progress.step:,} of {progress.steps:,}, {_line(progress)}")

    return step


def _line(progress: Progress) -> str:
    return (
        f"epoch {progress.epoch}, loss {progress.loss:.3f}, {progress.images_per_second:,.0f} images/s, "
        f"{_console.duration(progress.seconds_left)} left"
    )


def summary(part: str, scores: Scores) -> str:
    """A classifier's scores of a split in a line."""
    whole = ", every label right" if scores.is_multilabel else ""
    extra = f", top 5 {100 * scores.top5:.2f} %" if scores.top5 is not None else ""
    if scores.mean_average_precision is not None:
        extra = f", mean average precision {100 * scores.mean_average_precision:.2f} %"
    return (
        f"{part}: {100 * scores.accuracy:.2f} % of {scores.images:,} images{whole} "
        f"(95 % interval {100 * scores.low:.2f} - {100 * scores.high:.2f} %){extra}, "
        f"macro F1 {100 * scores.macro_f1:.2f} %"
    )


def exports_table(exports: Sequence[Exported]) -> Table:
    """A row per file."""
    table = Table("file", "MB", "largest difference", "equal class %", "accuracy %", "torch %", "latency ms")
    for row in exports:
        percents = (f"{100 * value:.2f}" for value in (row.agreement, row.accuracy, row.torch_accuracy))
        difference = f"{row.largest_difference:.2g}"
        table.add_row(row.path.name, f"{row.bytes / 1e6:.2f}", difference, *percents, with_interval(row.latency))
    return table


def export_document(row: Exported | ExportedDetector) -> dict[str, Any]:
    """A file as JSON."""
    document = asdict(row) | {"path": str(row.path)}
    if row.latency is not None:
        document["latency"] = {
            "latency_ms": row.latency.latency_ms,
            "latency_ci_ms": [row.latency.low_ms, row.latency.high_ms],
            "device": row.latency.device,
        }
    return document
