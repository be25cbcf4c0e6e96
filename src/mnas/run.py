"""A run, from its settings to its report: what `mnas search` and `mnas resume` do.

plan -> run folder -> what the space can reach -> the loop -> a predicted front measured -> the final comparison
-> report
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mnas.accuracy import ProxyTask, SurrogateAccuracy
from mnas.budget import Ledger
from mnas.comparison import compare_with_references
from mnas.config import Settings, parse_settings
from mnas.devices import TriesOut, check_operations
from mnas.errors import SettingsError, StorageError
from mnas.estimate import Decide, DeclinedError, estimate, first_trials
from mnas.evaluator import Evaluator
from mnas.executors import Executor
from mnas.final import FinalTask, compare
from mnas.folder import load_result, stored_settings, versions, write_run_toml
from mnas.loop import Progress, SearchLoop, Watch, progress
from mnas.measured_front import measure_front
from mnas.objective import Objective
from mnas.pareto import pareto_front
from mnas.plan import Plan, describe_objective, plan_from
from mnas.reach import Reach, check_target, survey
from mnas.report import write_report
from mnas.result import SearchResult
from mnas.snapshots import Snapshots
from mnas.status import StatusFile
from mnas.storage import RunStorage
from mnas.trial import Trial


def search(
    space: Any = "mnasnet",
    *,
    objective: Any = "soft",
    device: Any = "cpu",
    controller: Any = "guided",
    dataset: Any = "digits",
    accuracy: Any = "proxy",
    trials: int = 100,
    seed: int = 0,
    workers: int | None = None,
    asynchronous: bool | None = None,
    executor: str | Mapping[str, Any] = "processes",
    limits: Mapping[str, Any] | None = None,
    stopping: Mapping[str, Any] | None = None,
    final: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    name: str = "search",
    out: str | Path | None = None,
    watch: Watch | None = None,
) -> SearchResult:
    """Search a network and return what was found; all of it also lies in the run folder.

    Each part is a registered name ("mnasnet"), a name with settings ({"name": "mnasnet", "width": 0.35}) or
    a ready object (a SearchSpace, Objective, Device, Controller, data set or AccuracyEstimator).

        result = mnas.search(
            space={"name": "mnasnet", "width": 0.35, "resolution": 32},
            objective=mnas.WeightedProduct.soft(target_ms=0.4),
            trials=60,
        )
        print(result.best.architecture)

    Args:
        space: what may be chosen.
        objective: "soft", "hard", "absolute", settings as under [objective], or an Objective.
        device: whose latency counts.
        controller: what proposes.
        dataset: images; None where `accuracy` needs none.
        accuracy: what estimates accuracies.
        trials: how many proposals.
        seed: of everything random.
        workers: processes that train, one thread each; None: one per core; 0: none, in this process.
        asynchronous: whether finished trials are told one by one, so that no worker waits for the slowest of a
            batch; None: where the controller allows it and it wins time.
        executor: where trainings run: "processes" of this machine, or {"name": "ray", "address": "auto"}.
        limits: settings as under [limits]; {"time_s": 600} ends trainings that hang.
        stopping: settings as under [stopping]; {"use": True} ends trainings that are unlikely to join the front.
        final: settings as under [final]; {"top": 0} leaves the final comparison out.
        budget: settings as under [budget], such as {"hours": 8}; what is spent ends the search like `trials`.
        name: of the run.
        out: the run folder, by default runs/NAME-DATE. A run that lies there already goes on.
        watch: called with a Progress after each step.

    Raises:
        SettingsError: something is unknown, impossible or out of reach.
        StorageError: the run folder is broken, in use, or was begun with other settings.
        DeviceError: the device went away and stayed away.
    """
    parts = {
        "space": space, "device": device, "controller": controller, "dataset": dataset, "accuracy": accuracy,
    }  # fmt: skip
    named = {key: _part(value) for key, value in parts.items() if isinstance(value, (str, Mapping))}
    given = {key: value for key, value in parts.items() if key not in named and value is not None}
    if isinstance(objective, Objective):
        given["objective"] = objective
    else:
        named["objective"] = {"reward": objective} if isinstance(objective, str) else dict(objective)
    data = {"name": name, "seed": seed, "trials": trials, "executor": _part(executor), **named}
    data |= {"workers": workers} if workers is not None else {}
    data |= {"asynchronous": asynchronous} if asynchronous is not None else {}
    data |= {"limits": dict(limits)} if limits is not None else {}
    data |= {"stopping": dict(stopping)} if stopping is not None else {}
    data |= {"final": dict(final)} if final is not None else {}
    data |= {"budget": dict(budget)} if budget is not None else {}
    plan = plan_from(parse_settings(data, "mnas.search"), given)
    return run_plan(plan, Path(out) if out else default_folder(name), watch or (lambda progress: None))


def start(settings: Settings, folder: Path, watch: Watch, decide: Decide | None = None) -> SearchResult:
    """Run these settings in a folder; a run that lies there already goes on.

    With `decide`, it is asked whether to go on once the first trials tell what the search will take and cost.

    Raises:
        DeclinedError: it said no; the run can be resumed.
    """
    return run_plan(plan_from(settings), folder, watch, decide=decide)


def resume(
    folder: Path,
    watch: Watch,
    trials: int | None = None,
    workers: int | None = None,
    remeasure: bool = False,
    budget: Mapping[str, Any] | None = None,
    executor: str | None = None,
    address: str | None = None,
) -> SearchResult:
    """Go on with a run as if it had never stopped; more `trials` extend it, another `executor` takes its trainings.

    `budget` changes keys of [budget]; a limit of None lifts it.

    Raises:
        StorageError: no run there, or it cannot go on here; the message says what to do.
    """
    stored = stored_settings(folder)
    settings = stored.moved(executor, address)
    if settings.executor.name != stored.executor.name:  # so many workers were of the other one
        settings = settings.model_copy(update={"workers": None})
    settings = settings.changed(trials=trials, workers=workers).with_budget(budget or {})
    return run_plan(plan_from(settings), folder, watch, remeasure)


def run_plan(
    plan: Plan, folder: Path, watch: Watch, remeasure: bool = False, decide: Decide | None = None
) -> SearchResult:
    """Search, compare, report."""
    if plan.target_ms is not None:
        plan.objective(plan.target_ms)  # refused settings are refused before anything is written
    with RunStorage.create(folder, plan.identity) as storage:
        notes = _note_versions(storage)
        if plan.trials < (asked := storage.asked()):
            notes += (
                f"trials = {plan.trials} is fewer than the {asked} that were proposed already, which are finished",
            )
            plan = replace(plan, trials=asked)
        with _status(plan, folder) as status:
            _write_settings(folder, plan, storage.meta("target_ms"))
            device_changed = _settle_device(storage, plan, remeasure)
            executor = plan.executor()
            try:
                run = _Run(plan, folder, storage, executor, status.beside(watch), notes, status, decide)
                return run.run(device_changed)
            finally:
                executor.close()


@dataclass
class _Run:
    """One run in progress, with its folder open for writing."""

    plan: Plan
    folder: Path
    storage: RunStorage
    executor: Executor
    watch: Watch
    notes: tuple[str, ...]
    status: StatusFile
    decide: Decide | None

    def run(self, device_changed: bool) -> SearchResult:
        evaluator = self._evaluator(self.plan.objective(self.plan.target_ms or 1.0))
        ledger = Ledger(self.plan.budget, self.storage, evaluator.trials, self.executor.workers)
        self.status.ledger = ledger
        with ledger:
            self._search(evaluator, ledger, device_changed)
        self._compare(self._measured(evaluator))
        result = load_result(self.folder, self.storage)
        notes = dict.fromkeys((*self.notes, *result.notes, *self.plan.device.info().notes))  # each once
        result = replace(result, notes=tuple(notes))
        _write_winner(result)
        write_report(result)
        return result

    def _search(self, evaluator: Evaluator, ledger: Ledger, device_changed: bool) -> None:
        warm_start = self._warm_start()
        self._check_operations()
        reach = self._reach(evaluator)
        target_ms = self._settle_target(reach)
        evaluator.objective = self.plan.objective(target_ms)
        self.storage.set_meta("objective", describe_objective(evaluator.objective))
        _write_settings(self.folder, self.plan, target_ms)
        if device_changed:
            self._remeasure_front(evaluator)
        controller = self.plan.controller(evaluator.objective, warm_start)
        total, asynchronous = self.plan.trials, self.plan.is_asynchronous(controller, self.executor)
        snapshots = Snapshots(self.storage) if self.plan.keeps_snapshots else None
        loop = SearchLoop(
            controller, evaluator, self.storage, total, self._asking(evaluator, ledger), asynchronous,
            may_ask=lambda: not ledger.exhausted(), snapshots=snapshots,
        )  # fmt: skip
        with self.status.asking(lambda: evaluator.activity(asynchronous)):
            loop.run()
        self._note_end(total - len(evaluator.trials), ledger.exhausted())

    def _asking(self, evaluator: Evaluator, ledger: Ledger) -> Watch:
        """The watch; it also asks whether to go on, once the first trials are finished."""
        if (decide := self.decide) is None:
            return self.watch
        plan, pace = self.plan, self.plan.pace(self.executor)
        asked: list[bool] = []

        def watch(progress: Progress) -> None:
            self.watch(progress)
            first = [] if asked else first_trials(evaluator.trials, plan.trials, pace)
            if not first:
                return
            asked.append(True)
            with ledger.paused():
                is_agreed = decide(estimate(first, plan.trials, pace, plan.budget, ledger.spent()))
            if not is_agreed:
                raise DeclinedError

        return watch

    def _note_end(self, left: int, exhausted: str) -> None:
        """Say whether the search ended before its last trial, and why."""
        why = f"the search ended because {exhausted}; {left} of {self.plan.trials} trials were left" if left else ""
        self.storage.set_meta("ended_early", why)
        self.status.message = why

    def _measured(self, evaluator: Evaluator) -> Evaluator:
        """Where latencies were predicted: the front measured, and an evaluator that measures."""
        if self.plan.front_device is None:
            return evaluator
        result = load_result(self.folder, self.storage)
        device, show = self.plan.front_device(), self._phase(result.trials)
        return measure_front(result, device, self.plan.caps, evaluator, self.storage, show)

    def _compare(self, evaluator: Evaluator) -> None:
        """The comparison at the end, of trained accuracies or of predicted ones."""
        plan, result = self.plan, load_result(self.folder, self.storage)
        show = self._phase(result.trials)
        if plan.final_recipe and isinstance(plan.estimator, ProxyTask):
            task = FinalTask(plan.estimator.dataset, plan.final_recipe, plan.final, self.folder / "final")
            compare(result, task, evaluator, self.executor, self.storage, show)
        elif plan.final.top and isinstance(plan.estimator, SurrogateAccuracy):
            compare_with_references(result, plan.final.references, evaluator, plan.estimator, self.storage, show)

    def _evaluator(self, objective: Objective) -> Evaluator:
        plan = self.plan
        return Evaluator(
            plan.space, objective, plan.device, plan.estimator, self.executor, self.storage, plan.seed, plan.stopping
        )

    def _check_operations(self) -> None:
        """Every operation of the space is tried on the device once per run, before anything is spent."""
        device, fingerprint = self.plan.device, self.plan.device.info().fingerprint
        if not isinstance(device, TriesOut) or self.storage.meta("operations_run_on") == fingerprint:
            return
        check_operations(self.plan.space, device, self._phase(()))
        self.storage.set_meta("operations_run_on", fingerprint)

    def _reach(self, evaluator: Evaluator) -> Reach:
        show = self._phase(tuple(evaluator.trials.values()))
        reach = survey(self.plan.space, evaluator.measure, self.plan.caps, self.plan.seed, show)
        self.storage.set_meta("reach_ms", [reach.low_ms, reach.high_ms])
        return reach

    def _settle_target(self, reach: Reach) -> float:
        """The target of this run: what it was begun with, else what is asked for, else the median."""
        begun = self.storage.meta("target_ms")
        wanted = self.plan.target_ms
        if begun is not None:
            if wanted is not None and wanted != begun:
                raise StorageError(
                    f"{self.folder} was begun with target_ms {begun}, not {wanted}; name another folder with --out"
                )
            return float(begun)
        target_ms = wanted if wanted is not None else float(f"{reach.median_ms:.3g}")
        check_target(target_ms, reach)
        self.storage.set_meta("target_ms", target_ms)
        return target_ms

    def _warm_start(self) -> list[Trial]:
        """The trials of the other run that this one starts from, copied when it began."""
        if self.plan.warm_start is None:
            return []
        if self.storage.meta("warm_start") is None:
            with RunStorage.read(self.plan.warm_start) as other:
                _check_alike(other.meta("identity"), self.plan.identity, self.plan.warm_start)
                self.storage.set_meta("warm_start", [trial.to_dict() for trial in other.trials()])
        return [Trial.from_dict(row) for row in self.storage.meta("warm_start")]

    def _remeasure_front(self, evaluator: Evaluator) -> None:
        front = pareto_front(evaluator.trials.values())
        show = self._phase(tuple(evaluator.trials.values()))
        for index, trial in enumerate(front, start=1):
            show(f"measuring the front again, {index} of {len(front)}")
            evaluator.measure(trial.architecture)

    def _phase(self, trials: tuple[Trial, ...]) -> Callable[[str], None]:
        return lambda phase: self.watch(progress(trials, self.plan.trials, phase))


def _write_winner(result: SearchResult) -> None:
    """winner.txt, winner.json and winner.onnx: with trained weights if it was retrained, else with fresh ones."""
    if result.best is None:
        return
    from mnas.export import save_onnx
    from mnas.models import build

    architecture, folder = result.best.architecture, result.folder
    trained = folder / "final" / f"{architecture.id}.onnx"
    document = {
        "architecture": architecture.to_dict(),
        "string": str(architecture),
        "trial": result.best.to_dict(),
        "weights": "trained" if trained.exists() else "untrained",
    }
    (folder / "winner.txt").write_text(f"{architecture}\n", encoding="utf-8")
    (folder / "winner.json").write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if trained.exists():
        shutil.copyfile(trained, folder / "winner.onnx")
    else:
        save_onnx(build(architecture, seed=0), folder / "winner.onnx")


def default_folder(name: str) -> Path:
    """runs/NAME-DATE, with a number behind it if that is taken."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    base = Path("runs") / f"{name}-{stamp}"
    numbered = (base.with_name(f"{base.name}-{number}") for number in range(2, 1000))
    return base if not base.exists() else next(path for path in numbered if not path.exists())


def _part(value: Any) -> dict[str, Any]:
    return {"name": value} if isinstance(value, str) else dict(value)


def _status(plan: Plan, folder: Path) -> StatusFile:
    return StatusFile(folder, plan.name, plan.trials, plan.budget)


def _settle_device(storage: RunStorage, plan: Plan, remeasure: bool) -> bool:
    """Store whose latencies these are; True if the run moves to another device.

    Raises:
        StorageError: it would move, and nobody said that the front is to be measured again.
    """
    fingerprint = plan.device.info().fingerprint
    known = storage.meta("device")
    if known not in (None, fingerprint) and not remeasure:
        raise StorageError(
            f"{storage.path.parent} has latencies of another device.\n"
            f"  the run:  {known}\n  here:     {fingerprint}\n"
            f"Go on there, or measure its front again here: mnas resume {storage.path.parent} --remeasure"
        )
    storage.set_meta("device", fingerprint)
    return known not in (None, fingerprint)


def _check_alike(theirs: Mapping[str, Any], ours: Mapping[str, Any], folder: Path) -> None:
    """Refuse to start from a run in another space or on another task."""
    keys = [key for key in sorted({*theirs, *ours}) if key.startswith("space.") or key == "accuracy"]
    differing = [f"{key}: it has {theirs.get(key)}, here it is {ours.get(key)}" for key in keys
                 if theirs.get(key) != json.loads(json.dumps(ours.get(key)))]  # fmt: skip
    if differing:
        raise SettingsError(
            f"warm_start {folder} is of another space or task, whose trials teach nothing here:\n  "
            + "\n  ".join(differing)
        )


def _note_versions(storage: RunStorage) -> tuple[str, ...]:
    """Store this process' versions; a note for each that differs from those of the run's beginning."""
    now = versions()
    begun = storage.meta("versions")
    if begun is None:
        storage.set_meta("versions", now)
        return ()
    return tuple(
        f"{name} was {begun.get(name)} when the run began and is {version} now"
        for name, version in now.items()
        if begun.get(name) != version
    )


def _write_settings(folder: Path, plan: Plan, target_ms: float | None) -> None:
    settings = dict(plan.settings) | {"trials": plan.trials, "workers": plan.workers}
    if target_ms is not None:
        settings["objective"] = {**settings.get("objective", {}), "target_ms": target_ms}
    write_run_toml(folder, settings, plan.device.info())
