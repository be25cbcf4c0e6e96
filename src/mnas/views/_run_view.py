"""RunView: one run's answers to everything that the page and the reports ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnas.errors import StorageError
from mnas.folder import OWN_TABLES
from mnas.space import Choice, SearchSpace
from mnas.storage import RunStorage
from mnas.trial import Trial
from mnas.views._description import describe, reference_networks
from mnas.views._errors import NotThereError
from mnas.views._importance import METHOD, Importances, importance
from mnas.views._machines import read_machines
from mnas.views._models import (
    MachinesView,
    NetworkView,
    RunDescription,
    RunSummary,
    SearchView,
    TrialTable,
)
from mnas.views._network import reference_network, trial_network
from mnas.views._run_reader import RunReader
from mnas.views._search import optimum, preferences, reference_point, series, window_of
from mnas.views._space import choices_of, stored_space
from mnas.views._state import run_state

_MOST_COUNTED = 100_000  # spaces of more combinations are never tried whole
TRIAL_COLUMNS = (
    "number", "state", "cached", "accuracy", "latency_ms", "low_ms", "high_ms", "reward", "params", "madds", "epochs",
    "error", "worker", "started", "finished", "architecture_id", "energy_mj",
)  # fmt: skip


class RunView:
    """A run folder as it stands, read beside its writer; may be asked from several threads.

        view = RunView(Path("runs/quickstart-20260101-120000"))
        view.description().verdict
        table = view.trials()                      # all of them, as columns
        later = view.trials(after=table.cursor)    # what came since

    Every method but `summary` raises StorageError where the folder is broken or gone, and works again
    once it is back.
    """

    def __init__(self, folder: Path, id: str = "0") -> None:
        self.folder, self.id = folder, id
        self._reader = RunReader(folder)
        self._lock = threading.RLock()
        self._search: tuple[tuple[int, ...], SearchView] | None = None
        self._importance: tuple[int, int, Importances] | None = None
        self._space: tuple[int, SearchSpace | None] | None = None

    def summary(self) -> RunSummary:
        """Its name and how it stands; state "broken" says why."""
        with self._lock:
            try:
                self._reader.refresh()
                return self._standing()[0]
            except (StorageError, OSError) as error:
                name = self.folder.resolve().name
                return RunSummary(id=self.id, name=name, state="broken", problem=str(error))

    def description(self) -> RunDescription:
        """All of the run but its trials."""
        with self._opened() as storage:
            summary, phase, has_status = self._standing()
            space, choices = self._choices(storage)
            columns, run_toml = self._reader.columns, self._reader.run_toml()
            return describe(summary, self.folder, phase, has_status, run_toml, storage, columns, space, choices)

    def trials(self, after: int = 0) -> TrialTable:
        """The trials stored since a cursor, as columns; 0 gives all of them."""
        with self._opened() as storage:
            columns, point = self._reader.columns, reference_point(storage.meta("reach_ms"))
            place, is_anew = self._reader.place(after)
            parts = {name: column[place:] for name, column in columns.parts_ms.items()}
            # Not checked again: ten thousand rows of columns that were just made from checked values.
            return TrialTable.model_construct(
                cursor=self._reader.cursor,
                restart=is_anew,
                front=list(columns.front.numbers),
                best=columns.best,
                hypervolume=columns.front.hypervolume(point[0]) if point else None,
                reference_point=point,
                parts_ms=parts,
                **{name: getattr(columns, name)[place:] for name in TRIAL_COLUMNS},
            )

    def trial(self, number: int) -> Trial:
        """A trial, whole.

        Raises:
            NotThereError: there is none of this number.
        """
        with self._opened() as storage:
            return self._trial(number, storage)

    def network(self, number: int) -> NetworkView:
        """A trial's network.

        Raises:
            NotThereError: there is no trial of this number.
        """
        with self._opened() as storage:
            trial, (_, choices) = self._trial(number, storage), self._choices(storage)
            return trial_network(trial, choices, self.folder, self._settings(), self._reader.columns.device)

    def reference(self, index: int) -> NetworkView:
        """A known network that the run was compared with, by its place in the description's `references`.

        Raises:
            NotThereError: there is none at this place.
        """
        with self._opened() as storage:
            known = reference_networks(storage)
            if not 0 <= index < len(known):
                raise NotThereError(f"run {self.id} has {len(known)} references, and none at place {index}")
            label, architecture, latency, accuracy, _ = known[index]
            settings, device = self._settings(), self._reader.columns.device
            return reference_network(label, architecture, latency, accuracy, self.folder, settings, device)

    def search(self) -> SearchView:
        """How the search went, and what was learnt."""
        with self._opened() as storage:
            columns, told = self._reader.columns, storage.told_positions()
            key = (self._reader.generation, len(columns), len(columns.dropped), len(told))
            if self._search is None or self._search[0] != key:  # a page that is open asks every few seconds
                self._search = (key, self._searched(storage))
            return self._search[1]

    def _searched(self, storage: RunStorage) -> SearchView:
        columns, (space, choices) = self._reader.columns, self._choices(storage)
        point, found = reference_point(storage.meta("reach_ms")), self._importances(choices)
        return SearchView.model_construct(
            **series(columns, point),
            reference_point=point,
            target_ms=storage.meta("target_ms"),
            preferences=preferences(columns, choices, storage),
            window=window_of(len(columns)),
            importance=found.rows,
            importance_method=METHOD,
            explained=found.explained,
            optimum=optimum(columns, self._distinct_size(space)),
        )

    def machines(self) -> MachinesView:
        """What works on the run right now, as its driver said."""
        if not self.folder.is_dir():
            raise StorageError(f"{self.folder} is not there")
        return read_machines(self.folder)

    @contextmanager
    def _opened(self) -> Iterator[RunStorage]:
        """The journal, open, with the columns as they are in it; one thread at a time."""
        with self._lock:
            self._reader.refresh()
            with self._reader.storage() as storage:
                yield storage

    def _standing(self) -> tuple[RunSummary, str, bool]:
        """The summary, what is being done, and whether the driver says so itself."""
        columns, run_toml = self._reader.columns, self._reader.run_toml()
        machines, damaged = _machines(self.folder)
        total = int(run_toml.get("trials", 0))
        state, problem = run_state(machines, len(columns), total, self.folder)
        problem = damaged or problem
        name = str(run_toml.get("name", self.folder.resolve().name))
        summary = RunSummary(id=self.id, name=name, state=state, problem=problem, trials=len(columns), total=total)
        return summary, machines.phase or state, machines.state != "none"

    def _trial(self, number: int, storage: RunStorage) -> Trial:
        if number not in self._reader.columns.places:
            raise NotThereError(f"run {self.id} has no trial {number} yet")
        trial = storage.trial(number)
        latency, device = trial.measurement.latency, self._reader.columns.device
        if latency is None or latency.device == device:
            return trial
        again = storage.latency(trial.architecture.id, device)
        return replace(trial, measurement=replace(trial.measurement, latency=again)) if again else trial

    def _settings(self) -> dict[str, Any]:
        return {key: value for key, value in self._reader.run_toml().items() if key not in OWN_TABLES}

    def _choices(self, storage: RunStorage) -> tuple[SearchSpace | None, tuple[Choice, ...]]:
        generation = self._reader.generation
        if self._space is None or self._space[0] != generation:
            self._space = (generation, stored_space(storage.meta("identity") or {}, self._settings()))
        space = self._space[1]
        return space, choices_of(space, self._reader.columns.tokens)

    def _distinct_size(self, space: SearchSpace | None) -> int | None:
        """Of a space that may have been tried whole; counting a larger one takes seconds."""
        if space is None or space.size() > _MOST_COUNTED:
            return None
        return space.distinct_size()

    def _importances(self, choices: tuple[Choice, ...]) -> Importances:
        """Made again when a twentieth more trials are there: it takes tenths of a second, and moves little."""
        columns, generation = self._reader.columns, self._reader.generation
        known = self._importance
        if known is None or known[0] != generation or len(columns) > 1.05 * known[1]:
            self._importance = (generation, len(columns), importance(columns, choices))
        assert self._importance is not None
        return self._importance[2]


def _machines(folder: Path) -> tuple[MachinesView, str | None]:
    """What the driver said; where that is damaged, nothing, and the problem: the trials are there all the same."""
    try:
        return read_machines(folder), None
    except StorageError as error:
        return MachinesView(state="none", now=time.time()), str(error)
