"""RunDescription: all of a run but its trials."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from mnas.comparison import load_comparisons
from mnas.final import load_finals
from mnas.folder import OWN_TABLES, disturbed_notes, measured_notes
from mnas.measured_front import load_measured_front
from mnas.objective import Latency
from mnas.result import Comparison, Final, MeasuredFront, Rated
from mnas.space import Choice, SearchSpace
from mnas.storage import RunStorage
from mnas.views._columns import TrialColumns
from mnas.views._commands import run_commands
from mnas.views._models import (
    ChoiceOfSpace,
    ComparisonView,
    Constraint,
    CountsView,
    FinalView,
    MeasuredRow,
    MeasuredView,
    RatedView,
    ReferenceView,
    RunDescription,
    RunSummary,
    SpaceView,
)
from mnas.views._verdict import dominance, verdict


def describe(
    summary: RunSummary,
    folder: Path,
    phase: str,
    has_status: bool,
    run_toml: Mapping[str, Any],
    storage: RunStorage,
    columns: TrialColumns,
    space: SearchSpace | None,
    choices: tuple[Choice, ...],
) -> RunDescription:
    """The description of a run whose journal is open.

    Raises:
        StorageError: the journal is broken.
    """
    settings = {key: value for key, value in run_toml.items() if key not in OWN_TABLES}
    run, versions = run_toml.get("run", {}), run_toml.get("versions", {})
    objective, device = storage.meta("objective") or {}, columns.device
    finals, comparisons = load_finals(storage), load_comparisons(storage)
    measured = load_measured_front(storage)
    reach = storage.meta("reach_ms")
    notes = (
        *disturbed_notes(columns.disturbed),
        *columns.device_notes,
        *measured_notes(measured, device, columns.first),
        *filter(None, [storage.meta("ended_early")]),
    )
    return RunDescription(
        **summary.model_dump(include={"id", "name", "state", "problem", "total"}),
        folder=folder.resolve().name,
        phase=phase,
        created=str(run.get("created", "")),
        mnas_version=str(versions.get("mnas", "")),
        commit=str(run.get("commit", "")),
        device=device,
        device_details=_plain(run.get("device_details", {})),
        task=str((storage.meta("identity") or {}).get("accuracy", "")),
        target_ms=storage.meta("target_ms"),
        reach_ms=list(reach) if reach else None,
        objective=objective,
        constraints=_constraints(objective.get("caps", {})),
        space=SpaceView(
            name=space.name if space else str(settings.get("space", {}).get("name", "")),
            choices=[ChoiceOfSpace(name=c.name, options=[str(o) for o in c.options]) for c in choices],
        ),
        controller=_plain(settings.get("controller", {})),
        settings=_plain(settings),
        versions={str(key): str(value) for key, value in versions.items()},
        seconds=storage.meta("seconds") or 0.0,
        notes=list(notes),
        verdict=[*verdict(finals), *dominance(comparisons)],
        counts=CountsView(**asdict(columns.tally.counts)),
        best=columns.best,
        finals=[_final(final) for final in finals],
        comparisons=[_comparison(comparison) for comparison in comparisons],
        references=[
            _reference(label, latency, accuracy, kind)
            for label, _, latency, accuracy, kind in reference_networks(storage)
        ],
        measured=_measured(measured, columns) if measured else None,
        curve_epochs=max(columns.epochs, default=0),
        has_status=has_status,
        commands=run_commands(folder, settings),
    )


def reference_networks(
    storage: RunStorage,
) -> list[tuple[str, Any, Latency, float, Literal["retrained", "predicted"]]]:
    """Known networks that a run was compared with: label, architecture, latency, accuracy, and what that is."""
    retrained = [final for final in load_finals(storage) if final.is_reference]
    predicted = [comparison.reference for comparison in load_comparisons(storage)]
    return [
        *((one.label, one.architecture, one.latency, one.accuracy, "retrained") for one in retrained),
        *((one.label, one.architecture, one.latency, one.accuracy, "predicted") for one in predicted),
    ]


def _reference(
    label: str, latency: Latency, accuracy: float, kind: Literal["retrained", "predicted"]
) -> ReferenceView:
    return ReferenceView(label=label, accuracy=accuracy, kind=kind, **_interval(latency))


def _final(final: Final) -> FinalView:
    return FinalView(
        label=final.label,
        trial=_trial_of(final.label),
        **_interval(final.latency),
        accuracy=final.accuracy,
        low=final.low,
        high=final.high,
        seeds=list(final.accuracies),
        test_images=final.test_images,
        is_winner=final.is_winner,
        is_reference=final.is_reference,
        block_string=str(final.architecture),
    )


def _comparison(comparison: Comparison) -> ComparisonView:
    faster, better = comparison.faster, comparison.better
    return ComparisonView(
        reference=_rated(comparison.reference),
        faster=_rated(faster) if faster else None,
        better=_rated(better) if better else None,
        speedup=comparison.speedup,
        points=comparison.points,
        is_faster=comparison.is_faster,
        is_better=comparison.is_better,
        sentence=dominance([comparison])[0],
    )


def _rated(rated: Rated) -> RatedView:
    return RatedView(
        label=rated.label,
        trial=_trial_of(rated.label),
        **_interval(rated.latency),
        accuracy=rated.accuracy,
        accuracy_sd=rated.accuracy_sd,
        second_accuracy=rated.second_accuracy,
        block_string=str(rated.architecture),
    )


def _measured(measured: MeasuredFront, columns: TrialColumns) -> MeasuredView:
    names = [name for name in dict.fromkeys((*measured.latencies, *measured.dropped)) if name in columns.first]
    rows = [_measured_row(name, measured, columns) for name in names]
    known = [row for row in rows if row is not None]
    return MeasuredView(device=measured.device, rows=sorted(known, key=lambda row: row.predicted_ms))


def _measured_row(name: str, measured: MeasuredFront, columns: TrialColumns) -> MeasuredRow | None:
    number = columns.first[name]
    predicted, latency = columns.latency_ms[columns.places[number]], measured.latencies.get(name)
    if predicted is None:
        return None
    return MeasuredRow(
        trial=number,
        predicted_ms=predicted,
        measured_ms=latency.latency_ms if latency else None,
        low_ms=latency.low_ms if latency else None,
        high_ms=latency.high_ms if latency else None,
        difference=latency.latency_ms / predicted - 1 if latency else None,
        dropped=measured.dropped.get(name),
    )


def _interval(latency: Latency) -> dict[str, float]:
    return {"latency_ms": latency.latency_ms, "low_ms": latency.low_ms, "high_ms": latency.high_ms}


def _constraints(caps: Mapping[str, float | None]) -> list[Constraint]:
    return [Constraint(name=name, value=value) for name, value in caps.items() if value is not None]


def _trial_of(label: str) -> int | None:
    """The number in "trial 17"."""
    found = re.fullmatch(r"trial (\d+)", label)
    return int(found[1]) if found else None


def _plain(value: Any) -> Any:
    """Values of TOML as those of JSON: it has dates too."""
    return json.loads(json.dumps(value, default=str))
