"""`mnas profile`, by running it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mnas.config import load_settings
from mnas.devices import SimulatedDevice
from mnas.plan import space_of
from mnas.profiles import read_profile, write_profile
from mnas.profiling import make_profile

MNAS = [sys.executable, "-c", "from mnas.cli import main; main()"]
SPACE = """
[space]
name = "blocks"
resolution = 32
classes = 10
blocks = [{ filters = 16, layers = 1, stride = 1 }, { filters = 24, layers = 2, stride = 2 }]
choices = { ops = ["sepconv", "mbconv3"], se_ratios = [0], skips = ["identity"], filter_ratios = [1] }
"""


def mnas(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MNAS, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    (folder / "space.toml").write_text(SPACE)
    return folder


@pytest.mark.slow
def test_a_profile_is_made_measured_with_and_searched_with(folder):
    file = folder / "simulated.profile"
    options = ("--device", "simulated", "--space", folder / "space.toml", "--measurements", 60, "--out", file)
    made = mnas("profile", *options, "--json")
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert said["space"] == "blocks"
    assert sum(said["measured"]["measurements"].values()) == 60
    assert said["error"]["mean"] < 0.1

    network = "input_r32_c3 stem_k3_s2_c32 ds_r1_k3_s1_c16 ir_r2_k3_s2_e3_c24 head_c1280_n10"
    measured = json.loads(mnas("measure", network, "--device", file, "--json").stdout)
    assert measured["statistic"] == "profile"
    assert said["version"] in measured["device"]

    text = f"trials = 12\nworkers = 0\n{SPACE}\n"
    (folder / "search.toml").write_text(text + '[accuracy]\nname = "simulated"\n[final]\ntop = 0\n')
    done = mnas("search", folder / "search.toml", "--device", file, "--out", folder / "run", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["measured_on"] == "simulated formula 1"
    assert all("measured_ms" in trial for trial in result["front"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "cpu.json"), "--out should end in .profile"),
        (("--out", "nowhere/cpu.profile"), "should lie in a folder that is there"),
        (("--out", "cpu.profile", "--device", "cpuu"), "did you mean 'cpu'"),
        (("--out", "cpu.profile", "--space", "mnasnett"), "did you mean 'mnasnet'"),
        (("--out", "cpu.profile", "--space", "blocks"), "has to be described"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(options, message):
    done = mnas("profile", *options)
    assert done.returncode == 2
    assert message in done.stderr.replace("\n", " ")


@pytest.fixture(scope="module")
def made(folder):
    """A profile of the formula, made without the command."""
    file = folder / "formula.profile"
    space = space_of(load_settings(str(folder / "space.toml")))
    write_profile(file, make_profile(SimulatedDevice(), space, most=40, settings={"name": "simulated"}))
    return file


@pytest.mark.slow
def test_a_profile_is_transferred_from_few_measurements(folder, made):
    options = ("--device", "simulated", "--space", folder / "space.toml", "--out", folder / "moved.profile")
    done = mnas("profile", "--like", made, *options, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["measured"]["measurements"] == {"network": 10, "check": 10}
    assert said["transferred_from"]["device"] == "simulated formula 1"
    assert said["error"]["networks"] == 10
    assert read_profile(folder / "moved.profile").version == said["version"]


def test_a_transfer_to_another_space_or_input_size_is_refused_before_anything_is_measured(folder, made):
    (folder / "other.toml").write_text(SPACE.replace("resolution = 32", "resolution = 64"))
    options = ("--device", "simulated", "--out", folder / "no.profile")
    done = mnas("profile", "--like", made, "--space", folder / "other.toml", *options)
    assert done.returncode == 2
    assert "at 32 px with 3 channels, where this one has 64 px" in " ".join(done.stderr.split())
    done = mnas("profile", "--like", made, "--space", "mnasnet", *options)
    assert done.returncode == 2
    assert "does not cover" in done.stderr


def test_a_transfer_from_what_is_no_profile_says_so(folder):
    (folder / "none.profile").write_text('{"layers": 3}')
    done = mnas("profile", "--like", folder / "none.profile", "--out", folder / "no.profile")
    assert done.returncode == 2
    assert "but no latency profile" in " ".join(done.stderr.split())


def test_a_damaged_profile_is_named(folder):
    (folder / "bad.profile").write_text('{"kind": "mnas latency prof')
    done = mnas("measure", "mnasnet-a1", "--device", folder / "bad.profile")
    assert done.returncode == 1
    assert "bad.profile is damaged" in done.stderr.replace("\n", " ")
