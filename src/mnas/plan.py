"""Settings -> parts: everything a search needs, made and checked before anything is spent."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from mnas import registry
from mnas.accuracy import (
    AccuracyEstimator,
    DetectionProxy,
    ProxyTask,
    SimulatedAccuracy,
    SurrogateAccuracy,
    is_stoppable,
)
from mnas.budget import Budget
from mnas.config import FinalSettings, Part, Settings
from mnas.controllers import Controller, is_asynchronous
from mnas.devices import Device
from mnas.errors import DeviceError, SettingsError, did_you_mean
from mnas.estimate import Pace
from mnas.executors import Executor, InProcessExecutor, Limits
from mnas.models import reference_architecture
from mnas.objective import AbsoluteReward, Caps, Objective, WeightedProduct
from mnas.space import BlockSpace, SearchSpace, nearest_member
from mnas.stopping import StoppingRule
from mnas.training import Recipe
from mnas.trial import Trial

# Of a data set: where its files lie and how they are read changes no accuracy.
_NOT_IDENTITY = ("path", "annotations", "images", "loader_workers")


@dataclass(frozen=True)
class Plan:
    """The parts of one search.

    `identity` is what must stay the same for a run to go on, as flat JSON values, so that a difference can
    be named by its key.
    """

    name: str
    seed: int
    trials: int
    workers: int | None  # None: the executor says
    limits: Limits
    asynchronous: bool | None  # None: `is_asynchronous` says
    space: SearchSpace
    controller: Callable[[Objective, Sequence[Trial]], Controller]
    keeps_snapshots: bool  # of its state: not of an object that was given, which only a replay tells from another
    warm_start: Path | None  # a run whose trials the controller is given before the first ask
    device: Device
    front_device: Callable[[], Device] | None  # that the front is measured on in the end, where `device` predicts
    estimator: AccuracyEstimator
    target_ms: float | None
    caps: Caps
    objective: Callable[[float], Objective]
    stopping: StoppingRule | None  # when trainings end early; None: never
    final: FinalSettings
    budget: Budget
    final_recipe: Recipe | None  # of the comparison at the end; None where there is none
    executor: Callable[[], Executor]  # makes what its evaluations run on
    settings: Mapping[str, Any]
    identity: Mapping[str, Any]

    def is_asynchronous(self, controller: Controller, executor: Executor) -> bool:
        """Whether finished trials are told one by one: by the settings; else where that wins time and may be.

        Formulas take no time, one worker waits for nobody, and a device that is the machine that trains has it to
        itself while it measures.
        """
        if self.asynchronous is not None:
            return self.asynchronous
        is_formula = isinstance(self.estimator, SurrogateAccuracy | SimulatedAccuracy)
        takes_turns = self.device.info().exclusive and executor.is_here
        return is_asynchronous(controller) and executor.workers > 1 and not is_formula and not takes_turns

    def pace(self, executor: Executor) -> Pace:
        """How it uses the machines, by which an estimate of its time is made."""
        info = self.device.info()
        takes_turns = (info.exclusive and executor.is_here) or isinstance(executor, InProcessExecutor)
        return Pace(executor.workers, info.slots, takes_turns, self._final_trainings())

    def _final_trainings(self) -> float:
        """The comparison at the end, in trainings of the search."""
        if self.final_recipe is None or not isinstance(self.estimator, ProxyTask):
            return 0.0
        references = len(self.final.references) if isinstance(self.space, BlockSpace) else 0
        networks = self.final.top + references
        return networks * self.final.seeds * self.final_recipe.epochs / self.estimator.recipe.epochs


def plan_from(settings: Settings, given: Mapping[str, Any] | None = None) -> Plan:
    """The plan of some settings; `given` are ready parts (space, controller, device, ...) that come first.

    Raises:
        SettingsError: a name, key or value that is unknown or impossible.
    """
    given = dict(given or {})
    dataset = given.get("dataset") or _dataset(settings)
    space: SearchSpace = given.get("space") or _space(settings, dataset)
    device = given.get("device") or registry.make(
        "device", settings.device.name, settings.device.options, space=space
    )
    estimator = given.get("accuracy") or _estimator(settings, dataset)
    ready: Objective | None = given.get("objective")
    target_ms = ready.target_ms if ready else settings.objective.target_ms
    make = (lambda _: ready) if ready else settings.objective.objective
    known = _known(settings.final, space, estimator)
    controller = _controller(settings, space, known, given.get("controller"))
    controller(make(target_ms or 1.0), ())  # what it refuses is refused before anything is spent
    for name in settings.final.references:
        reference_architecture(name)
    if isinstance(estimator, ProxyTask | DetectionProxy):
        estimator.check(space.decode((0,) * len(space.choices)))
    stopping = _stopping(
        settings, estimator, is_guided=settings.controller.name == "guided" and "controller" not in given
    )
    workers, limits = _workers(settings), Limits(**settings.limits.model_dump())
    described = settings.model_dump(exclude_none=True) | {
        key: _described(part) for key, part in given.items() if part is not None
    }
    return Plan(
        name=settings.name,
        seed=settings.seed,
        trials=settings.trials,
        workers=workers,
        limits=limits,
        asynchronous=settings.asynchronous,
        space=space,
        controller=controller,
        keeps_snapshots="controller" not in given,
        warm_start=_warm_start(settings),
        device=device,
        front_device=_front_device(device),
        estimator=estimator,
        target_ms=target_ms,
        caps=ready.caps if ready else settings.objective.caps,
        objective=make,
        stopping=stopping,
        final=settings.final,
        budget=settings.budget.budget,
        final_recipe=_final_recipe(settings.final, estimator),
        executor=_executor(settings.executor, workers, limits),
        settings=described,
        identity=_flat(
            {
                "seed": settings.seed,
                "space": space.describe(),
                "controller": described.get("controller"),
                "levels": known.get("levels"),
                "objective": _without(("target_ms",), describe_objective(make(target_ms or 1.0))),
                "dataset": _without(_NOT_IDENTITY, described.get("dataset") or {}),
                "accuracy": estimator.task,
                "stopping": _without(("epochs",), asdict(stopping)) if stopping else {},
            }
        ),
    )


def describe_objective(objective: Objective) -> dict[str, Any]:
    """An objective as plain values: the reward's name, its numbers, its caps."""
    return {"reward": type(objective).__name__, **asdict(objective)}


def _without(keys: tuple[str, ...], described: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in described.items() if key not in keys}


def space_of(settings: Settings) -> SearchSpace:
    """The space that a search with these settings would search.

    Raises:
        SettingsError: a name, key or value that is unknown or impossible.
    """
    return _space(settings, _dataset(settings))


def _front_device(device: Device) -> Callable[[], Device] | None:
    """Makes what a device that predicts names as the one to measure on; its settings are refused now."""
    table: Mapping[str, Any] | None = getattr(device, "measure_on", None)
    if table is None:
        return None
    name, options = table["name"], {key: value for key, value in table.items() if key != "name"}

    def make() -> Device:
        made: Device = registry.make("device", name, options)
        return made

    with suppress(DeviceError):  # it may come back until it is needed
        make()
    return make


def _dataset(settings: Settings) -> Any:
    if settings.dataset is None:
        return None
    name = settings.dataset.name
    kind: registry.Kind = "detection" if name in registry.names("detection") else "dataset"
    known = registry.options(kind, name)
    defaults = {"resolution": _resolution(settings.space)} if "resolution" in known else {}
    return registry.make(kind, name, defaults | settings.dataset.options)


def _resolution(space: Part) -> int:
    """The pixels that the space's networks take: the data set's images are brought to them."""
    parameter = registry.options("space", space.name).get("resolution")
    default = parameter.default if parameter else 224
    return int(space.options.get("resolution", default))


def _space(settings: Settings, dataset: Any) -> SearchSpace:
    known = registry.options("space", settings.space.name)
    offered = {"classes": len(dataset.class_names), "input_channels": dataset.channels} if dataset else {}
    from_data = {key: value for key, value in offered.items() if key in known}
    space: SearchSpace = registry.make("space", settings.space.name, from_data | settings.space.options)
    return space


def _controller(
    settings: Settings, space: SearchSpace, known: Mapping[str, Any], ready: Controller | None
) -> Callable[[Objective, Sequence[Trial]], Controller]:
    name = settings.controller.name
    options = {key: value for key, value in settings.controller.options.items() if key != "warm_start"}
    offered = {"space": space, "seed": settings.seed} | {key: known[key] for key in known if key not in options}

    def make(objective: Objective, warm_start: Sequence[Trial]) -> Controller:
        parts = {"objective": objective, "warm_start": warm_start}
        made: Controller = registry.make("controller", name, options, **offered, **parts)
        return made

    return make if ready is None else lambda objective, warm_start: ready


def _known(final: FinalSettings, space: SearchSpace, estimator: AccuracyEstimator) -> dict[str, Any]:
    """What a controller may be told where accuracies are predicted: all of them, and which it is to surpass.

    The latter are those of the final comparison's references, by whichever model thinks more of them.
    """
    if not isinstance(estimator, SurrogateAccuracy):
        return {}
    estimator.examine([space.decode((0,) * len(space.choices))])  # refuses a space that it does not answer for
    known: dict[str, Any] = {"known_accuracy": lambda tokens: estimator.predict_tokens(tokens)[0]}
    if final.top and final.references and isinstance(space, BlockSpace):
        members = [space.decode(nearest_member(space, reference_architecture(name))) for name in final.references]
        first, second = (model.predict(members)[0].tolist() for model in estimator.opinions)
        known["levels"] = tuple(map(max, first, second))
    return known


def _warm_start(settings: Settings) -> Path | None:
    """The run that [controller] warm_start names.

    Raises:
        SettingsError: the controller cannot start from one.
    """
    folder = settings.controller.options.get("warm_start")
    if folder is None:
        return None
    known = registry.options("controller", settings.controller.name)
    if "warm_start" not in known:
        raise did_you_mean(f"key for controller {settings.controller.name!r}:", "warm_start", known)
    return Path(str(folder)).expanduser()


def _estimator(settings: Settings, dataset: Any) -> AccuracyEstimator:
    name = settings.accuracy.name
    needs_images = "dataset" in registry.options("accuracy", name)
    if needs_images and dataset is None:
        kind: registry.Kind = "detection" if name == "detection" else "dataset"
        example, *_ = known = registry.names(kind)
        raise SettingsError(
            f"accuracy {name!r} trains on images: name them with --data, or under [dataset], for example "
            f'name = "{example}" (known: {", ".join(known)})'
        )
    estimator: AccuracyEstimator = registry.make("accuracy", name, settings.accuracy.options, dataset=dataset)
    return estimator


def _stopping(settings: Settings, estimator: AccuracyEstimator, is_guided: bool) -> StoppingRule | None:
    """The rule by which trainings end early, if they do."""
    wanted, options = settings.stopping.use, settings.stopping.model_dump(exclude={"use"})
    if wanted is False or (wanted is None and not is_guided):
        return None
    rule = StoppingRule(estimator.epochs, **options) if is_stoppable(estimator) else None
    if rule and rule.rungs:
        return rule
    if wanted:
        raise SettingsError(
            "stopping.use should be true only where accuracy comes from trainings of at least "
            f"{settings.stopping.factor} epochs (stopping.factor) that can be ended; this accuracy is "
            f"{estimator.task!r}. Leave [stopping] out"
        )
    return None


def _final_recipe(final: FinalSettings, estimator: AccuracyEstimator) -> Recipe | None:
    """The search's recipe, longer."""
    if not final.top or not isinstance(estimator, ProxyTask):
        return None
    try:
        return replace(estimator.recipe, epochs=final.epochs)
    except SettingsError as error:
        raise SettingsError(f"the final comparison trains {final.epochs} epochs: {error}") from error


def _executor(part: Part, workers: int | None, limits: Limits) -> Callable[[], Executor]:
    """Makes the executor; its settings are refused now, before a run is begun."""
    name = "in-process" if part.name == "processes" and workers == 0 else part.name
    offered = {"workers": workers, "limits": limits}
    registry.check("executor", name, part.options, offered)

    def make() -> Executor:
        made: Executor = registry.make("executor", name, part.options, **offered)
        return made

    return make


def _workers(settings: Settings) -> int | None:
    """How many jobs run at once; None where the executor finds it by itself."""
    known = registry.options("executor", settings.executor.name)
    asks = "workers" in known and known["workers"].default is inspect.Parameter.empty
    if settings.workers is not None or not asks:
        return settings.workers
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _described(part: Any) -> Any:
    """A ready part as plain values: settings where they say it all, else its class and what it tells of itself."""
    if type(part) in _REWARDS:
        values = asdict(part)
        return {"reward": _REWARDS[type(part)]} | values.pop("caps") | values
    name = {"name": f"{registry.FROM_PYTHON}{type(part).__module__}.{type(part).__qualname__}"}
    plain = is_dataclass(part) and not isinstance(part, (type, SearchSpace, Objective))
    return (asdict(part) if plain else {}) | name


_REWARDS: Mapping[type, str] = {WeightedProduct: "weighted-product", AbsoluteReward: "absolute"}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists as one level of dotted keys."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        items = [(str(index), item) for index, item in enumerate(value, start=1)]
    else:
        return {prefix: list(value) if isinstance(value, tuple) else value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= _flat(item, f"{prefix}.{key}" if prefix else key)
    return flat
