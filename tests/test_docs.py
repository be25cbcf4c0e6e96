"""What the documentation says is so: its snippets run, and it names every key, verb, name and public object."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mnas
from mnas import registry
from mnas.config import BudgetSettings, FinalSettings, ObjectiveSettings, Settings, StoppingSettings, preset_names

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TAKE_SECONDS = {
    "board", "controllers", "datasets", "detection", "devices", "export", "library", "models", "profiles", "shipping",
    "training", "tutorial",
}  # fmt: skip
NOT_RUN = "<!-- not run"  # in the line before a block, with the reason


def _blocks(path: Path, language: str) -> list[str]:
    pattern = rf"^((?:{NOT_RUN}[^\n]*\n)?)```{language}\n(.*?)^```"
    found = re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block for not_run, block in found if not not_run]


def _with_python() -> list[Any]:
    """The pages with snippets; those whose snippets take seconds are slow tests."""
    pages = [page for page in PAGES if _blocks(page, "python")]
    return [pytest.param(page, marks=pytest.mark.slow if page.stem in TAKE_SECONDS else ()) for page in pages]


@pytest.mark.parametrize("page", _with_python(), ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, tmp_path):
    """All blocks of a page, one after the other, in an empty folder."""
    script = tmp_path / "page.py"
    body = "\n".join(_blocks(page, "python"))
    script.write_text(body, encoding="utf-8")
    done = subprocess.run([sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_settings_key_is_documented():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    tables = (Settings, ObjectiveSettings, StoppingSettings, FinalSettings, BudgetSettings)
    keys = [key for table in tables for key in table.model_fields]
    given = {"dataset", "space", "seed", "known_accuracy", "limits"}  # by mnas itself
    for kind in ("space", "controller", "device", "dataset", "detection", "accuracy", "executor"):
        for name in registry.names(kind):
            assert f"`{name}`" in text, name
            keys += [option for option in registry.options(kind, name) if option not in given]
    missing = [key for key in keys if f"`{key}`" not in text and f"`[{key}]`" not in text]
    assert not missing


def test_every_verb_preset_and_public_name_is_documented():
    from mnas.cli import _board_commands, _commands, _detect_commands, _model_commands  # noqa: F401  # they add verbs

    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    verbs = [command.name or command.callback.__name__ for command in _commands.app.registered_commands]
    for group in _commands.app.registered_groups:
        verbs += [f"{group.name} {command.name}" for command in group.typer_instance.registered_commands]
    assert "detect predict" in verbs
    for verb in verbs:
        assert f"mnas {verb}" in text, verb
    for name in [*preset_names(), *mnas.__all__]:
        assert name in text, name


def _modules() -> list[str]:
    return [info.name for info in pkgutil.walk_packages(mnas.__path__, "mnas.") if "_torchvision" not in info.name]


@pytest.mark.parametrize("name", _modules())
def test_the_examples_in_docstrings_hold(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
