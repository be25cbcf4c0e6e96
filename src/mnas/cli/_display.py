"""How things look on a terminal, and as JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from mnas.loop import Progress as SearchProgress
from mnas.loop import Watch
from mnas.objective import Latency
from mnas.result import Comparison, Counts, MeasuredFront, Rated, SearchResult, part_names
from mnas.space import (
    Architecture,
    SearchSpace,
    count_by_block,
    count_madds,
    count_params,
    peak_activation_bytes,
    weight_bytes,
)
from mnas.trial import Trial
from mnas.views import dominance, verdict

if TYPE_CHECKING:
    from mnas.devices import Reachable
    from mnas.profiles import Profile  # needs numpy and scipy, which take a moment

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


def print_profile(path: Path, profile: Profile, as_json: bool) -> None:
    """What a profile knows and how well it predicts."""
    counts = profile.measured["measurements"]
    if as_json:
        print_json(
            {
                "profile": str(path),
                "version": profile.version,
                "device": profile.device,
                "space": profile.space.get("name"),
                "layer_shapes": len(profile.layers_ms),
                "error": asdict(profile.error),
                "measured": dict(profile.measured),
                "transferred_from": dict(profile.transferred_from) or None,
            }
        )
        return
    target = out()
    target.print(profile.device, markup=False)
    if origin := profile.transferred_from:
        target.print(f"transferred from profile {origin['profile']} of {origin['device']}", markup=False)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    target.print(f"{sum(counts.values())} measurements ({kinds}) in {profile.measured['seconds']:.0f} s")
    target.print(f"it covers the {len(profile.layers_ms):,} layer shapes of space {profile.space.get('name')}")
    target.print(str(profile.error))
    target.print(f"wrote {path}; search with: mnas search PRESET --device {path}", markup=False)


def print_result(result: SearchResult, as_json: bool) -> None:
    """What a search found."""
    if as_json:
        print_json(_result_document(result))
        return
    target = out()
    counts = result.counts
    target.print(
        f"{counts.trials} trials: {counts.distinct} networks evaluated{_stopped(counts)}, {counts.cached} cached, "
        f"{counts.infeasible} infeasible, {counts.failed} failed, in {result.seconds:.0f} s of search"
    )
    for note in result.notes:
        target.print(f"note: {note}", markup=False)
    print_trials(result, result.front, as_json=False)
    if result.finals:
        target.print(_finals_table(result))
        for sentence in verdict(result.finals):
            target.print(sentence, markup=False)
    if result.comparisons:
        target.print(_comparisons_table(result.comparisons))
        for sentence in dominance(result.comparisons):
            target.print(sentence, markup=False)
        target.print(f"Accuracy is {result.task}: good for ranking, not a promise.", markup=False)
    if result.best is not None:
        target.print(f"\nbest reward: trial {result.best.number}")
        target.print(str(result.best.architecture), markup=False, soft_wrap=True)
    target.print(f"report: {result.folder / 'report.html'}", markup=False)


def print_trials(result: SearchResult, trials: Sequence[Trial], as_json: bool) -> None:
    """Trials as a table, or as a document with `trials` in order of number."""
    if as_json:
        ordered = sorted(trials, key=lambda trial: trial.number)
        documents = [_trial_document(trial) | _measured_document(result, trial) for trial in ordered]
        print_json({"run": str(result.folder), "trials": documents})
        return
    parts, measured = part_names(trials), result.measured
    has_energy = any(trial.measurement.energy for trial in trials)
    title = "predicted ms" if measured else "latency ms"
    compared = ("measured ms", "95 % interval", "difference") if measured else ()
    more = [*compared, *(f"{name} ms" for name in parts), *(["energy mJ"] if has_energy else [])]
    table = Table("trial", "state", "accuracy %", title, "95 % interval", *more, "reward", "params", "MAdds")
    for trial in trials:
        latency = trial.measurement.latency
        table.add_row(
            f"{trial.number}{' *' if result.best and trial.number == result.best.number else ''}",
            trial.state.value + (" (cached)" if trial.cached else ""),
            "" if trial.accuracy is None else f"{100 * trial.accuracy:.2f}",
            f"{latency.latency_ms:.4g}" if latency else "",
            f"{latency.low_ms:.4g} - {latency.high_ms:.4g}" if latency else "",
            *(_measured_cells(measured, trial) if measured else ()),
            *_part_cells(latency, parts),
            *([_energy_cell(trial)] if has_energy else []),
            f"{trial.reward:.4f}",
            f"{trial.measurement.params:,}",
            f"{trial.measurement.madds:,}",
        )
    out().print(table)


def print_architecture(name: str, architecture: Architecture, as_json: bool) -> None:
    """An architecture as a table with counts per block."""
    totals = {
        "params": count_params(architecture),
        "madds": count_madds(architecture),
        "weight_bytes": weight_bytes(architecture),
        "peak_activation_bytes": peak_activation_bytes(architecture),
    }
    if as_json:
        print_json(
            {
                "name": name,
                "id": architecture.id,
                **totals,
                "block_strings": list(architecture.block_strings),
                "architecture": str(architecture),
                "resolution": architecture.resolution,
            }
        )
        return
    table = Table("row", "block", "output", "params", "MAdds")
    for label, block, rows in count_by_block(architecture):
        table.add_row(
            label, block, f"{rows[-1].resolution} x {rows[-1].resolution}",
            f"{sum(row.params for row in rows):,}", f"{sum(row.madds for row in rows):,}",
        )  # fmt: skip
    target = out()
    target.print(table)
    target.print(
        f"{totals['params']:,} parameters, {totals['madds']:,} MAdds at {architecture.resolution} px, "
        f"{totals['weight_bytes'] / 1e6:.2f} MB of float32 weights, "
        f"{totals['peak_activation_bytes'] / 1e6:.2f} MB of float32 activations, id {architecture.id}"
    )
    target.print(str(architecture), markup=False, soft_wrap=True)


def print_space(space: SearchSpace, as_json: bool) -> None:
    """A search space: its choices and both its sizes."""
    if as_json:
        choices = [{"name": choice.name, "options": list(choice.options)} for choice in space.choices]
        sizes = {"size": space.size(), "distinct_size": space.distinct_size()}
        print_json({"name": space.name, **sizes, "choices": choices})
        return
    table = Table("choice", "options")
    for choice in space.choices:
        table.add_row(choice.name, ", ".join(map(str, choice.options)))
    target = out()
    target.print(table)
    size, distinct = space.size(), space.distinct_size()
    target.print(f"{len(space.choices)} choices: {size:,} ({size:.2e}) combinations")
    target.print(f"{distinct:,} ({distinct:.2e}) distinct networks")


def print_latency(name: str, architecture: Architecture, latency: Latency, as_json: bool) -> None:
    """A measurement with its interval and conditions."""
    if as_json:
        document = {
            "name": name,
            "id": architecture.id,
            "latency_ms": latency.latency_ms,
            "latency_ci_ms": [latency.low_ms, latency.high_ms],
            "statistic": latency.statistic,
            "device": latency.device,
            "samples_ms": list(latency.samples_ms),
            "environment": dict(latency.environment),
            "energy": asdict(latency.energy) if latency.energy else None,
        }
        print_json(document)
        return
    target = out()
    target.print(
        f"{name}: {latency.latency_ms:.4g} ms (95 % interval {latency.low_ms:.4g} - {latency.high_ms:.4g} ms), "
        f"{latency.statistic}",
        markup=False,
    )
    if latency.energy:
        energy = latency.energy
        target.print(
            f"{energy.millijoules:.4g} mJ per inference above idle "
            f"(95 % interval {energy.low:.4g} - {energy.high:.4g} mJ), {energy.meter}",
            markup=False,
        )
    for part_name, part in latency.parts.items():
        target.print(
            f"{part_name}: {part.latency_ms:.4g} ms (95 % interval {part.low_ms:.4g} - {part.high_ms:.4g} ms)",
            markup=False,
        )
    target.print(latency.device, markup=False)
    for key, value in latency.environment.items():
        if key == "devices":
            continue  # said above; all of it is in the JSON document
        target.print(f"  {key}: {value}", markup=False)


def print_devices(found: Sequence[Reachable], as_json: bool) -> None:
    """Devices with their runtimes, and why some cannot be used."""
    if as_json:
        print_json({"devices": [asdict(device) for device in found]})
        return
    table = Table("--device", "what it is", "runtimes")
    for device in found:
        runtimes = ", ".join(f"{name} {version}" for name, version in device.runtimes.items())
        table.add_row(device.address, device.what + (f": {device.problem}" if device.problem else ""), runtimes)
    out().print(table, markup=False)


def print_names(known: Mapping[str, Sequence[str]], as_json: bool) -> None:
    """Names by kind."""
    if as_json:
        print_json({kind: list(names) for kind, names in known.items()})
        return
    for kind, names in known.items():
        out().print(f"{kind}: {', '.join(names)}", markup=False)


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
        f"{counts.distinct} evaluated{_stopped(counts)}, {counts.cached} cached, {counts.infeasible} infeasible, "
        f"{counts.failed} failed, best reward {best}, front {front_size}{left}"
    )


def _stopped(counts: Counts) -> str:
    if not counts.stopped:
        return ""
    return f" ({counts.stopped} stopped early, {100 * counts.epochs_saved / counts.epochs:.0f} % of epochs saved)"


def duration(seconds: float) -> str:
    """Seconds as people write them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes}:{rest:02}"


def _part_cells(latency: Latency | None, names: Sequence[str]) -> list[str]:
    """The latency on each of several devices."""
    found = latency.parts if latency else {}
    return [f"{found[name].latency_ms:.4g}" if name in found else "" for name in names]


def _energy_cell(trial: Trial) -> str:
    energy = trial.measurement.energy
    return f"{energy.millijoules:.4g}" if energy else ""


def _measured_cells(measured: MeasuredFront, trial: Trial) -> tuple[str, str, str]:
    latency, difference = measured.latencies.get(trial.architecture.id), measured.difference(trial)
    if latency is None or difference is None:
        return "", "", ""
    interval = f"{latency.low_ms:.4g} - {latency.high_ms:.4g}"
    return f"{latency.latency_ms:.4g}", interval, f"{100 * difference:+.1f} %"


def _finals_table(result: SearchResult) -> Table:
    first = result.finals[0]
    title = f"retrained with {len(first.accuracies)} seeds, {first.test_images} test images"
    table = Table("network", "test accuracy %", "95 % interval", "latency ms", "95 % interval", title=title)
    for final in result.finals:
        table.add_row(
            final.label + (" *" if final.is_winner else ""),
            f"{100 * final.accuracy:.2f}",
            f"{100 * final.low:.2f} - {100 * final.high:.2f}",
            f"{final.latency.latency_ms:.4g}",
            f"{final.latency.low_ms:.4g} - {final.latency.high_ms:.4g}",
        )
    return table


def _comparisons_table(comparisons: Sequence[Comparison]) -> Table:
    title = "references and what dominates them, measured together in fresh processes"
    table = Table(
        "network", "predicted top-1 %", "second opinion %", "latency ms", "95 % interval", "gain", title=title
    )
    for comparison in comparisons:
        table.add_row(*_rated_cells(comparison.reference), "", style="bold")
        if comparison.faster:
            table.add_row(*_rated_cells(comparison.faster), f"{comparison.speedup:.2f} times faster")
        if comparison.better:
            table.add_row(*_rated_cells(comparison.better), f"{comparison.points:+.2f} points")
        table.add_section()
    return table


def _rated_cells(rated: Rated) -> tuple[str, ...]:
    return (
        rated.label,
        f"{100 * rated.accuracy:.2f} ± {100 * rated.accuracy_sd:.2f}",
        f"{100 * rated.second_accuracy:.2f}",
        f"{rated.latency.latency_ms:.4g}",
        f"{rated.latency.low_ms:.4g} - {rated.latency.high_ms:.4g}",
    )


def _result_document(result: SearchResult) -> dict[str, Any]:
    return {
        "run": str(result.folder),
        "device": result.device,
        "task": result.task,
        "target_ms": result.target_ms,
        "counts": asdict(result.counts),
        "seconds": result.seconds,
        "best": _trial_document(result.best) if result.best else None,
        "front": [_trial_document(trial) | _measured_document(result, trial) for trial in result.front],
        "measured_on": result.measured.device if result.measured else None,
        "finals": [
            {**asdict(final), "architecture": str(final.architecture), "accuracy": final.accuracy}
            for final in result.finals
        ],
        "comparisons": [_comparison_document(comparison) for comparison in result.comparisons],
        "notes": list(result.notes),
    }


def _measured_document(result: SearchResult, trial: Trial) -> dict[str, Any]:
    """What the device said in the end of a network whose latency was predicted."""
    name = trial.architecture.id
    latency = result.measured.latencies.get(name) if result.measured else None
    if result.measured is None or latency is None:
        return {}
    return {
        "measured_ms": latency.latency_ms,
        "measured_ci_ms": [latency.low_ms, latency.high_ms],
        "difference": result.measured.difference(trial),
        "dropped": result.measured.dropped.get(name),
    }


def _comparison_document(comparison: Comparison) -> dict[str, Any]:
    return {
        "reference": _rated_document(comparison.reference),
        "faster": _rated_document(comparison.faster),
        "better": _rated_document(comparison.better),
        "speedup": comparison.speedup,
        "points": comparison.points,
        "is_faster": comparison.is_faster,
        "is_better": comparison.is_better,
    }


def _rated_document(rated: Rated | None) -> dict[str, Any] | None:
    if rated is None:
        return None
    latency = rated.latency
    return {
        "label": rated.label,
        "architecture": str(rated.architecture),
        "accuracy": rated.accuracy,
        "accuracy_sd": rated.accuracy_sd,
        "second_accuracy": rated.second_accuracy,
        "latency_ms": latency.latency_ms,
        "latency_ci_ms": [latency.low_ms, latency.high_ms],
    }


def _trial_document(trial: Trial) -> dict[str, Any]:
    latency, energy = trial.measurement.latency, trial.measurement.energy
    return {
        "number": trial.number,
        "state": trial.state.value,
        "cached": trial.cached,
        "architecture": str(trial.architecture),
        "id": trial.architecture.id,
        "tokens": list(trial.tokens),
        "accuracy": trial.accuracy,
        "latency_ms": trial.latency_ms,
        "latency_ci_ms": [latency.low_ms, latency.high_ms] if latency else None,
        "reward": trial.reward,
        "params": trial.measurement.params,
        "madds": trial.measurement.madds,
        "peak_activation_bytes": trial.measurement.peak_activation_bytes,
        "file_bytes": trial.measurement.file_bytes,
        "energy_mj": energy.millijoules if energy else None,
        "energy_ci_mj": [energy.low, energy.high] if energy else None,
        "devices": {
            name: {"latency_ms": part.latency_ms, "latency_ci_ms": [part.low_ms, part.high_ms]}
            for name, part in (latency.parts if latency else {}).items()
        },
        "error": trial.error,
    }


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    json.dump(document, sys.stdout, allow_nan=False, indent=2)
    sys.stdout.write("\n")


def out() -> Console:
    """Standard output; where it is no terminal, wide enough for tables."""
    wide = None if sys.stdout.isatty() else 160
    return Console(highlight=False, width=wide)
