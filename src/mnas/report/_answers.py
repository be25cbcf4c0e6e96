"""The answers of a run that go into a report, as many as fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mnas.errors import StorageError
from mnas.views import (
    TRIAL_COLUMNS,
    MachinesView,
    RunDescription,
    RunList,
    RunSummary,
    RunView,
    SearchView,
    TrialTable,
)

_MOST_TRIALS = 8_000  # with a row of their own: some 2 MB
_NETWORK_BYTES = 1_000_000  # of networks with all their details
_DIGITS = 6  # of what is measured: more are noise, and take room
_ROUNDED = ("accuracy", "latency_ms", "low_ms", "high_ms", "reward", "energy_mj")
_SERIES = ("numbers", "finished", "reward", "best_reward", "hypervolume", "distinct")


def answers_of(view: RunView, notes: Sequence[str] | None = None, is_over: bool = False) -> dict[str, str]:
    """What the page asks for, by path, as JSON; `notes` in place of those that the folder tells.

    `is_over` says that the search has ended, where it writes its report itself and has not said so yet.

    Raises:
        StorageError: the run folder is broken.
    """
    description, table, search = view.description(), view.trials(), view.search()
    kept = _kept(table)
    told = [*(description.notes if notes is None else notes), *_left_out(table, kept)]
    changes = {"notes": told} | ({"state": "finished", "problem": None, "phase": "finished"} if is_over else {})
    description = description.model_copy(update=changes)
    run = f"/api/runs/{view.id}"
    found = {
        "/api/runs": RunList(runs=[_summary(description, len(table.number))]).model_dump_json(),
        run: description.model_dump_json(),
        f"{run}/trials?after=0": _thinned(table, kept).model_dump_json(),
        f"{run}/search": _thinned_search(search, kept).model_dump_json(),
        f"{run}/machines": _machines(view, is_over).model_dump_json(),
    }
    for index in range(len(description.references)):
        found[f"{run}/references/{index}"] = view.reference(index).model_dump_json()
    return found | dict(_networks(view, description, table))


def _networks(view: RunView, description: RunDescription, table: TrialTable) -> Iterator[tuple[str, str]]:
    """Networks with all their details: those that are talked of, then others while there is room."""
    measured = description.measured.rows if description.measured else []
    said = [*(one.trial for one in description.finals), *(row.trial for row in measured)]
    rated = [one for row in description.comparisons for one in (row.faster, row.better) if one is not None]
    first = [*table.front, table.best, *said, *(one.trial for one in rated)]
    room = _NETWORK_BYTES
    for number in dict.fromkeys([*first, *_by_reward(table)]):
        if number is None or room <= 0:
            continue
        text = view.network(number).model_dump_json()
        room -= len(text)
        yield f"/api/runs/{view.id}/trials/{number}", text


def _by_reward(table: TrialTable) -> list[int]:
    places = [place for place, cached in enumerate(table.cached) if not cached]
    return [table.number[place] for place in sorted(places, key=lambda place: -table.reward[place])]


def _kept(table: TrialTable) -> list[int]:
    """The places of the trials that are shown: all, or the front, the best and others evenly between them."""
    count = len(table.number)
    if count <= _MOST_TRIALS:
        return list(range(count))
    needed = {*table.front, table.best}
    evenly = {round(step * (count - 1) / (_MOST_TRIALS - 1)) for step in range(_MOST_TRIALS)}
    return [place for place in range(count) if place in evenly or table.number[place] in needed]


def _left_out(table: TrialTable, kept: Sequence[int]) -> list[str]:
    if len(kept) == len(table.number):
        return []
    return [f"this page holds {len(kept):,} of {len(table.number):,} trials; all of them: mnas board"]


def _thinned(table: TrialTable, kept: Sequence[int]) -> TrialTable:
    columns = {name: [getattr(table, name)[place] for place in kept] for name in TRIAL_COLUMNS}
    columns |= {name: [_rounded(value) for value in columns[name]] for name in _ROUNDED}
    columns |= {name: [round(value, 2) for value in columns[name]] for name in ("started", "finished")}
    parts = {name: [_rounded(column[place]) for place in kept] for name, column in table.parts_ms.items()}
    return table.model_copy(update={**columns, "parts_ms": parts})


def _thinned_search(search: SearchView, kept: Sequence[int]) -> SearchView:
    """The series at as many places as the table has rows."""
    columns = {name: [getattr(search, name)[place] for place in kept] for name in _SERIES}
    columns |= {name: [_rounded(v) for v in columns[name]] for name in ("reward", "best_reward", "hypervolume")}
    columns |= {"finished": [round(value, 2) for value in columns["finished"]]}
    return search.model_copy(update=columns)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _summary(description: RunDescription, trials: int) -> RunSummary:
    shared = description.model_dump(include={"id", "name", "state", "problem", "total"})
    return RunSummary(**shared, trials=trials)


def _machines(view: RunView, is_over: bool) -> MachinesView:
    """Nothing works on what is over."""
    try:
        machines = view.machines()
    except StorageError:  # a damaged status file costs its own view alone
        return MachinesView(state="none", now=0.0)
    return machines.model_copy(update={"state": "finished"}) if is_over and machines.state == "running" else machines
