"""Settings: what a search is made of, read from a preset or a TOML file, every key checked before the start."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnas._toml import read_toml
from mnas.budget import Budget
from mnas.errors import SettingsError, did_you_mean
from mnas.objective import AbsoluteReward, Caps, Objective, WeightedProduct


class Part(BaseModel):
    """A part by its registered name, and the part's own settings beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The settings beside the name."""
        return dict(self.model_extra or {})


class ObjectiveSettings(BaseModel):
    """The reward, its target and the caps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reward: Literal["soft", "hard", "weighted-product", "absolute"] = "soft"
    target_ms: float | None = Field(default=None, gt=0)  # None: the median of what the space reaches
    alpha: float | None = None
    beta: float | None = None
    max_latency_ms: float | None = Field(default=None, gt=0)
    max_params: float | None = Field(default=None, gt=0)
    max_madds: float | None = Field(default=None, gt=0)
    max_model_mb: float | None = Field(default=None, gt=0)
    max_memory_mb: float | None = Field(default=None, gt=0)
    max_file_mb: float | None = Field(default=None, gt=0)
    max_energy_mj: float | None = Field(default=None, gt=0)

    @property
    def caps(self) -> Caps:
        """The hard limits."""
        return Caps(**{limit.name: getattr(self, limit.name) for limit in fields(Caps)})

    def objective(self, target_ms: float) -> Objective:
        """The objective at a target."""
        if self.reward in ("soft", "hard") and not (self.alpha is None and self.beta is None):
            raise SettingsError(f"reward {self.reward!r} has fixed exponents: for others use 'weighted-product'")
        if self.reward == "soft":
            return WeightedProduct.soft(target_ms, self.caps)
        if self.reward == "hard":
            return WeightedProduct.hard(target_ms, self.caps)
        if self.reward == "absolute":
            if self.alpha is not None:
                raise SettingsError("reward 'absolute' has no alpha, only beta")
            return AbsoluteReward(target_ms, caps=self.caps, **_given(beta=self.beta))
        exponents = _given(alpha=self.alpha, beta=self.beta)
        return WeightedProduct(target_ms, caps=self.caps, **exponents)


class FinalSettings(BaseModel):
    """The comparison at the end: who is retrained, how long, and beside which references."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    top: int = Field(default=3, ge=0)  # networks of the front; 0: no final comparison
    seeds: int = Field(default=3, ge=1)
    epochs: int = Field(default=20, ge=1)
    references: tuple[str, ...] = ("mnasnet-a1", "mobilenet-v2")


class StoppingSettings(BaseModel):
    """Ending trainings early that are unlikely to join the front."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: bool | None = None  # None: with controller guided, where accuracy comes from trainings
    factor: int = Field(default=2, ge=2)  # rungs at epochs / factor, epochs / factor^2, ...
    risk: float = Field(default=0.05, gt=0, lt=0.5)
    first: int = Field(default=12, ge=5)  # whole curves before anything is stopped


class BudgetSettings(BaseModel):
    """What a search may spend beside its trials, and what that costs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: float | None = Field(default=None, gt=0)
    device_hours: float | None = Field(default=None, gt=0)
    accelerator_hours: float | None = Field(default=None, gt=0)
    money: float | None = Field(default=None, gt=0)
    price_per_hour: float = Field(default=0.0, ge=0)
    price_per_worker_hour: float = Field(default=0.0, ge=0)
    price_per_device_hour: float = Field(default=0.0, ge=0)
    currency: str = "USD"

    @property
    def budget(self) -> Budget:
        """The limits and prices."""
        return Budget(**self.model_dump())


class LimitSettings(BaseModel):
    """What one training may take, and how often one is tried whose worker was lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_s: float | None = Field(default=None, gt=0)
    memory_gb: float | None = Field(default=None, gt=0)
    retries: int = Field(default=2, ge=0)


class Settings(BaseModel):
    """Everything that makes a search. `mnas init FILE` writes one with comments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "search"
    seed: int = 0
    trials: int = Field(default=100, ge=1)
    workers: int | None = Field(default=None, ge=0)  # None: one per core; 0: in the search's own process
    asynchronous: bool | None = None  # None: where the controller allows it and trainings take turns with nothing
    space: Part = Part(name="mnasnet")
    objective: ObjectiveSettings = ObjectiveSettings()
    controller: Part = Part(name="guided")
    device: Part = Part(name="cpu")
    dataset: Part | None = None
    accuracy: Part = Part(name="proxy")
    stopping: StoppingSettings = StoppingSettings()
    executor: Part = Part(name="processes")
    limits: LimitSettings = LimitSettings()
    final: FinalSettings = FinalSettings()
    budget: BudgetSettings = BudgetSettings()

    def changed(self, **changes: Any) -> Settings:
        """A copy with the top-level keys that are not None changed, checked again."""
        return parse_settings(self.model_dump(exclude_none=True) | _given(**changes), "the given flags")

    def moved(self, executor: str | None, address: str | None) -> Settings:
        """A copy whose trainings run elsewhere; another executor is begun without the options of this one.

        Raises:
            SettingsError: an address for an executor that has none.
        """
        if address is not None and (executor or self.executor.name) in ("processes", "in-process"):
            raise SettingsError("--address goes with --executor ray: what runs on this machine has none")
        is_another = executor not in (None, self.executor.name)
        options = {} if is_another else self.executor.options
        part = {"name": executor or self.executor.name, **options, **_given(address=address)}
        return self if part == self.executor.model_dump() else self.changed(executor=part)

    def with_budget(self, changes: Mapping[str, Any]) -> Settings:
        """A copy with these keys of [budget] changed, checked again; a value of None lifts a limit."""
        table = self.budget.model_dump() | dict(changes)
        return self.changed(budget=_given(**table))


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _presets().iterdir() if entry.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """A preset as a commented settings file."""
    return str((_presets() / f"{name}.toml").read_text(encoding="utf-8"))


def load_settings(source: str | Path) -> Settings:
    """The settings of a preset's name or a TOML file's path.

    Raises:
        SettingsError: no such preset or file, not TOML, or a key or value that is not understood.
    """
    if str(source) in preset_names():
        return parse_settings(tomllib.loads(preset_text(str(source))), f"preset {source}")
    path = Path(source)
    if not path.is_file():
        if path.suffix == ".toml" or len(path.parts) > 1:
            raise SettingsError(f"there is no settings file {path}; mnas init {path} writes one to start from")
        raise did_you_mean("preset", str(source), preset_names())
    settings = parse_settings(read_toml(path), str(path))
    return settings if "name" in settings.model_fields_set else settings.model_copy(update={"name": path.stem})


def parse_settings(data: Mapping[str, Any], origin: str) -> Settings:
    """Settings from plain values.

    Raises:
        SettingsError: each key or value that is not understood, one a line.
    """
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise SettingsError(f"{origin} has settings that are not understood:\n  " + "\n  ".join(lines)) from error


def _explain(problem: Any) -> str:
    where = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        *table, key = problem["loc"]
        tables: dict[str, type[BaseModel]] = {
            "objective": ObjectiveSettings, "stopping": StoppingSettings, "limits": LimitSettings,
            "final": FinalSettings, "budget": BudgetSettings,
        }  # fmt: skip
        model = tables.get(table[0] if table else "", Settings)
        return str(did_you_mean(f"key in {table[0]!r}:" if table else "key", str(key), model.model_fields))
    return f"{where}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}"


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _presets() -> Any:
    return files("mnas") / "presets"
