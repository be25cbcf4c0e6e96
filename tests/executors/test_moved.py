"""Where trainings run is a setting like others, and no part of what a run is: it may go on elsewhere."""

from __future__ import annotations

import pytest

from mnas.config import parse_settings
from mnas.errors import SettingsError
from mnas.folder import load_result, stored_settings
from mnas.plan import plan_from
from mnas.run import resume

pytestmark = pytest.mark.usefixtures("no_report")
FORMULAS = {"device": {"name": "simulated"}, "accuracy": {"name": "simulated"}, "final": {"top": 0}}


def test_a_run_goes_on_with_another_executor(simulate, essence, tmp_path):
    whole = simulate(out=tmp_path / "whole", trials=20)
    simulate(out=tmp_path / "run", trials=10, executor="in-process")
    resume(tmp_path / "run", lambda progress: None, trials=20, executor="processes", workers=0)
    assert [essence(t) for t in load_result(tmp_path / "run").trials] == [essence(t) for t in whole.trials]
    assert stored_settings(tmp_path / "run").executor.name == "processes"


def test_another_executor_finds_its_own_number_of_workers_unless_it_is_given(simulate, tmp_path):
    simulate(trials=5, workers=1)
    resume(tmp_path / "run", lambda progress: None, executor="in-process")
    assert stored_settings(tmp_path / "run").workers is None
    resume(tmp_path / "run", lambda progress: None, workers=3)
    assert stored_settings(tmp_path / "run").workers == 3


def test_an_executor_s_options_stay_with_it():
    settings = parse_settings({**FORMULAS, "executor": {"name": "ray", "gpus": 0.5}}, "here")
    assert settings.moved(None, "head:6379").executor.options == {"gpus": 0.5, "address": "head:6379"}
    assert settings.moved("processes", None).executor.options == {}
    assert settings.moved("ray", None) == settings


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ({"name": "rey"}, "did you mean 'ray'"),
        ({"name": "ray", "adress": "auto"}, "did you mean 'address'"),
        ({"name": "processes", "gpus": 1}, "unknown key for executor 'processes'"),
    ],
)
def test_a_wrong_executor_is_refused_before_a_run_is_begun(executor, message):
    with pytest.raises(SettingsError, match=message):
        plan_from(parse_settings({**FORMULAS, "executor": executor}, "here"))


def test_an_address_without_ray_is_refused():
    with pytest.raises(SettingsError, match="--address goes with --executor ray"):
        parse_settings(FORMULAS, "here").moved(None, "auto")
