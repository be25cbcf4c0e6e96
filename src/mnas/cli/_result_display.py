"""How the result of a search and its trials look on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from mnas.cli import _console
from mnas.objective import Latency
from mnas.result import Comparison, MeasuredFront, Rated, SearchResult, part_names
from mnas.trial import Trial
from mnas.views import dominance, verdict


def print_result(result: SearchResult, as_json: bool) -> None:
    """What a search found."""
    if as_json:
        _console.print_json(_result_document(result))
        return
    target = _console.out()
    counts = result.counts
    target.print(
        f"{counts.trials} trials: {counts.distinct} networks evaluated{_console.stopped_early(counts)}, "
        f"{counts.cached} cached, {counts.infeasible} infeasible, {counts.failed} failed, "
        f"in {result.seconds:.0f} s of search"
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
        _console.print_json({"run": str(result.folder), "trials": documents})
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
    _console.out().print(table)


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
