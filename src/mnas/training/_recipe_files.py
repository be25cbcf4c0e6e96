"""Recipes by name, and from files of one's own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from mnas._toml import read_toml
from mnas.errors import SettingsError, did_you_mean
from mnas.training._recipe import Recipe


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _shipped().iterdir() if entry.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """A recipe of the package as a commented file, to start one's own from.

    Raises:
        SettingsError: no such recipe.
    """
    if name not in recipe_names():
        raise did_you_mean("recipe", name, recipe_names())
    return str((_shipped() / f"{name}.toml").read_text(encoding="utf-8"))


def load_recipe(source: str | Path) -> Recipe:
    """The recipe of a name or of a TOML file's path. What a file does not say has Recipe's default.

    >>> load_recipe("imagenet-mnasnet").epochs
    350

    Raises:
        SettingsError: no such recipe or file, not TOML, or a key or value that is not understood.
    """
    if str(source) in recipe_names():
        return _parsed(tomllib.loads(recipe_text(str(source))), f"recipe {source}")
    path = Path(source).expanduser()
    if path.is_file():
        return _parsed(read_toml(path), str(path))
    if path.suffix == ".toml" or len(path.parts) > 1:
        raise SettingsError(f"there is no recipe file {path}; known recipes: {', '.join(recipe_names())}")
    raise did_you_mean("recipe", str(source), recipe_names())


def _parsed(data: Mapping[str, Any], origin: str) -> Recipe:
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in fields(Recipe)]
    for key in data:
        if key not in known:
            raise SettingsError(f"{origin}: {did_you_mean('key', key, known)}")
    try:
        return TypeAdapter(Recipe).validate_python(dict(data))
    except ValidationError as error:
        lines = "; ".join(_explain(problem) for problem in error.errors())
        raise SettingsError(f"{origin}: {lines}") from error


def _explain(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    return ": ".join([*map(str, problem["loc"]), message]) + (
        "" if not problem["loc"] else f", got {problem['input']!r}"
    )


def _shipped() -> Any:
    return files("mnas") / "recipes"
