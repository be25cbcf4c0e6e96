"""Promises of settings files, presets and names."""

from __future__ import annotations

import tomllib

import pytest

from mnas import registry
from mnas.config import Settings, load_settings, parse_settings, preset_names, preset_text
from mnas.errors import SettingsError
from mnas.objective import AbsoluteReward, Caps, WeightedProduct
from mnas.plan import plan_from


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_a_settings_file(name, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(preset_text(name))
    assert load_settings(path) == load_settings(name)
    assert load_settings(name).name == name


class FewPictures:
    """What a plan asks of a data set with boxes."""

    name, class_names, channels, resolution = "few pictures", ("cell", "platelet"), 3, 320


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_makes_a_plan(name):
    given = {"dataset": FewPictures()} if name == "detection" else {}  # which has none of its own
    plan = plan_from(load_settings(name), given)
    assert plan.space.size() > 1
    assert len(plan.controller(plan.objective(1.0), ()).ask(2)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trails = 5", "unknown key 'trails': did you mean 'trials'?"),
        ("[objective]\ntarget = 5", "unknown key in 'objective': 'target': did you mean 'target_ms'?"),
        ("trials = 0", "trials: input should be greater than or equal to 1, got 0"),
        ('trials = "many"', "trials: input should be a valid integer"),
        ("[space]\nwidth = 1", "space.name: field required"),
        ("[objective]\nreward = 'sofd'", "objective.reward: input should be 'soft'"),
        ("trials = ", "is not TOML"),
    ],
)
def test_a_wrong_settings_file_says_what_is_wrong(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as wrong:
        load_settings(path)
    assert said in str(wrong.value)
    assert str(path) in str(wrong.value)


DIGITS = {"dataset": {"name": "digits", "resolution": 8}, "space": {"name": "mnasnet", "resolution": 8}} | {
    "accuracy": {"name": "proxy"}
}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"controller": {"name": "pp0"}}, "unknown controller 'pp0': did you mean 'ppo'?"),
        ({"controller": {"name": "ppo", "bach": 3}}, "'bach': did you mean 'batch'?"),
        ({"space": {"name": "mnasnt"}}, "unknown space 'mnasnt': did you mean 'mnasnet'?"),
        ({"space": {"name": "mnasnet", "strides": [1, 2]}}, "seven numbers"),
        ({"space": {"name": "blocks"}}, "space 'blocks' needs blocks"),
        ({"device": {"name": "gpu"}}, "unknown device 'gpu'"),
        ({"accuracy": {"name": "proxy"}}, "trains on images: name them"),
        ({"dataset": {"name": "digit"}}, "unknown dataset 'digit': did you mean 'digits'?"),
        ({"objective": {"reward": "soft", "beta": -1.0}}, "has fixed exponents"),
        ({"objective": {"reward": "absolute", "alpha": -1.0}}, "has no alpha"),
        (DIGITS | {"accuracy": {"name": "proxy", "warmup_epochs": 4}, "final": {"epochs": 2}}, "final comparison"),
        (DIGITS | {"space": {"name": "mnasnet", "resolution": 16}}, "resolution 16, not 8"),
        ({"controller": {"name": "ppo", "seed": 3}}, "unknown key for controller 'ppo': 'seed'"),
    ],
)
def test_a_part_that_is_unknown_or_impossible_is_refused_before_the_start(part, said):
    base = {"device": {"name": "simulated"}, "accuracy": {"name": "simulated"}}
    with pytest.raises(SettingsError) as wrong:
        plan_from(parse_settings({**base, **part}, "test"))
    assert said in str(wrong.value)


def test_rewards_by_name():
    def objective(**table):
        return parse_settings({"objective": table}, "test").objective.objective(5.0)

    assert objective(reward="soft") == WeightedProduct(5.0, -0.07, -0.07)
    assert objective(reward="hard", max_params=10) == WeightedProduct(5.0, 0.0, -1.0, caps=Caps(max_params=10))
    assert objective(reward="weighted-product", beta=-0.3) == WeightedProduct(5.0, -0.07, -0.3)
    assert objective(reward="absolute", beta=-0.2) == AbsoluteReward(5.0, beta=-0.2)


SPACE = """
[space]
name = "blocks"
resolution = 32
width = 1.0
stem = { kernel = 3, stride = 1, filters = 16 }
head = { filters = 64 }
classes = 5
input_channels = 1

[space.choices]
ops = ["sepconv", "mbconv4"]
se_ratios = [0]

[[space.blocks]]
filters = 16
layers = 1
stride = 1
ops = ["sepconv"]

[[space.blocks]]
filters = 24
layers = 2
stride = 2
kernels = [3, 5, 7]
"""


def test_a_space_of_ones_own_needs_no_code():
    data = tomllib.loads(SPACE)
    base = {"device": {"name": "simulated"}, "accuracy": {"name": "simulated"}}
    space = plan_from(parse_settings({**base, **data}, "test")).space
    options = {choice.name: choice.options for choice in space.choices}
    assert "block1.op" not in options
    assert options["block2.op"] == ("sepconv", "mbconv4")
    assert options["block2.kernel"] == (3, 5, 7)
    architecture = space.decode(tuple(0 for _ in space.choices))
    assert (architecture.resolution, architecture.head.classes, architecture.stem.stride) == (32, 5, 1)


def test_every_registered_name_is_there():
    for kind in ("space", "controller", "device", "dataset", "accuracy"):
        for name in registry.names(kind):
            assert callable(registry.lookup(kind, name))


def test_a_part_of_another_package_is_found_by_its_entry_point(monkeypatch):
    from importlib.metadata import EntryPoint

    added = EntryPoint("mine", "mnas.controllers:RandomSearch", "mnas.controllers")
    monkeypatch.setattr(registry, "entry_points", lambda group: [added] if group == "mnas.controllers" else [])
    settings = {
        "controller": {"name": "mine"},
        "device": {"name": "simulated"},
        "accuracy": {"name": "simulated"},
    }
    plan = plan_from(parse_settings(settings, "test"))
    assert type(plan.controller(plan.objective(1.0), ())).__name__ == "RandomSearch"
    assert "mine" in registry.names("controller")


def test_flags_override_and_are_checked():
    settings = Settings()
    assert settings.changed(trials=7, seed=None).trials == 7
    with pytest.raises(SettingsError):
        settings.changed(trials=-1)
