"""Promises of the command line, kept by running it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from command_line import MNAS, mnas, shown_on_a_terminal
from typer.testing import CliRunner

from mnas import registry
from mnas.cli._commands import app
from mnas.cli._console import live
from mnas.config import preset_text
from mnas.devices import SimulatedDevice
from mnas.loop import progress
from mnas.objective import Energy, Latency
from mnas.space import Architecture


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    done = mnas("search", "simulated", "--trials", 30, "--seed", 3, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_search_leaves_everything_in_its_folder(run):
    names = {path.name for path in run.iterdir()}
    assert {
        "run.toml", "trials.sqlite", "report.html", "front.png", "winner.txt", "winner.json", "winner.onnx",
    } <= names  # fmt: skip
    settings = (run / "run.toml").read_text()
    for line in ("seed = 3", "trials = 30", "target_ms = ", "torch = ", "device = ", "commit = "):
        assert line in settings


def test_front_has_what_scripts_rely_on(run):
    front = json.loads(mnas("front", run, "--json").stdout)["trials"]
    every = json.loads(mnas("front", run, "--all", "--json").stdout)["trials"]
    assert [trial["number"] for trial in every] == list(range(30))
    assert {trial["number"] for trial in front} < {trial["number"] for trial in every}
    for trial in every:
        assert {"number", "state", "architecture", "accuracy", "latency_ms", "reward"} <= trial.keys()


def test_status_of_a_finished_run(run):
    status = json.loads(mnas("status", run, "--json").stdout)
    assert (status["state"], status["total"], status["counts"]["trials"]) == ("finished", 30, 30)
    shown = re.sub(r"\s+", " ", mnas("status", run).stdout)
    assert "finished, 30 of 30 trials" in shown
    assert "hours of training" in shown


@pytest.mark.slow
def test_resume_extends_a_finished_run(run, tmp_path):
    mnas("search", "simulated", "--trials", 5, "--out", tmp_path / "run")
    done = mnas("resume", tmp_path / "run", "--trials", 12, "--json")
    assert json.loads(done.stdout)["counts"]["trials"] == 12


def test_show_a_reference_a_block_string_and_a_trial(run):
    shown = json.loads(mnas("show", "mnasnet-a1", "--json").stdout)
    assert (shown["params"], shown["madds"]) == (3_887_038, 311_579_072)
    again = json.loads(mnas("show", " ".join(shown["block_strings"]), "--json").stdout)
    assert again["params"] == shown["params"]
    best = json.loads(mnas("show", f"{run}:best", "--json").stdout)
    assert best["architecture"] == (run / "winner.txt").read_text().strip()
    assert json.loads(mnas("show", f"{run}:3", "--json").stdout)["params"] > 0
    assert "ir_r3_k5_s2_e3_c40_se0.25" in mnas("show", "mnasnet-a1").stdout


def test_show_a_space_prints_both_sizes():
    shown = json.loads(mnas("show", "mnasnet", "--json").stdout)
    assert shown["size"] == 432**7
    assert shown["distinct_size"] < shown["size"]
    assert len(shown["choices"]) == 42


def test_measure_has_what_scripts_rely_on():
    measured = json.loads(mnas("measure", "mnasnet-a1", "--device", "simulated", "--json").stdout)
    low, high = measured["latency_ci_ms"]
    assert low <= measured["latency_ms"] <= high


def test_list_names_every_kind():
    known = json.loads(mnas("list", "--json").stdout)
    assert "ppo" in known["controllers"]
    assert "cpu" in known["devices"]
    assert "digits" in known["datasets"]
    assert "quickstart" in known["presets"]
    assert "mnasnet-a1" in known["models"]
    assert json.loads(mnas("list", "spaces", "--json").stdout).keys() == {"spaces"}


@pytest.mark.slow
def test_init_writes_a_file_that_works_where_a_preset_does(tmp_path):
    path = tmp_path / "mine.toml"
    assert mnas("init", path, "--preset", "simulated").returncode == 0
    assert path.read_text() == preset_text("simulated")
    assert mnas("init", path).returncode == 2
    done = mnas("search", path, "--trials", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").glob("simulated-*"))) == 1


def test_a_device_can_be_a_settings_file(tmp_path):
    path = tmp_path / "board.toml"
    path.write_text('[device]\nname = "simulated"\n')
    assert mnas("measure", "mnasnet-b1", "--device", path, "--json").returncode == 0
    path.write_text("[devise]\n")
    wrong = mnas("measure", "mnasnet-b1", "--device", path)
    assert (wrong.returncode, "should have a [device] table" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["search", "quickstrat"], 2, "did you mean 'quickstart'?"),
        (["search", "nowhere/mine.toml"], 2, "there is no settings file"),
        (["search", "simulated", "--target-ms", "0.001", "--out", "{tmp}/a"], 2, "out of reach"),
        (["search", "simulated", "--device", "cpuu", "--out", "{tmp}/b"], 2, "did you mean 'cpu'?"),
        (["search", "simulated", "--trials", "0"], 2, "trials"),
        (["search"], 2, "Missing argument"),
        (["serach", "simulated"], 2, "No such command"),
        (["show", "mnasnet-a9"], 2, "did you mean 'mnasnet-a1'?"),
        (["show", "ir_r3_k5_q2_c40"], 2, "'q2' in 'ir_r3_k5_q2_c40' is not understood"),
        (["show", "nowhere:best"], 1, "is not a run folder"),
        (["resume", "nowhere"], 1, "is not a run folder"),
        (["front", "nowhere"], 1, "is not a run folder"),
        (["status", "nowhere"], 1, "is not a run folder"),
        (["list", "spacs"], 2, "did you mean 'spaces'?"),
        (["search", "simulated", "--budget", "hour=3"], 2, "did you mean 'hours'?"),
        (["search", "simulated", "--budget", "hours"], 2, "should be KEY=VALUE"),
        (["search", "simulated", "--budget", "hours=few"], 2, "budget.hours"),
    ],
)
def test_a_mistake_gets_a_message_and_an_exit_code(within, monkeypatch, tmp_path, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    exit_code, stdout, stderr = within(*[argument.replace("{tmp}", str(tmp_path)) for argument in arguments])
    assert exit_code == code, stderr
    assert said in re.sub(r"\s+", " ", stderr)
    assert "Traceback" not in stderr
    assert stdout == ""


def test_a_mistake_ends_a_process_of_its_own_with_message_and_code(tmp_path):
    done = mnas("status", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not a run folder" in re.sub(r"\s+", " ", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_run_of_another_seed_is_refused(within, run):
    code, _, stderr = within("search", "simulated", "--trials", "30", "--seed", "4", "--out", str(run))
    assert code == 1
    assert "seed: the run has 3, now it is 4" in stderr


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path):
    slow = tmp_path / "slow.toml"
    slow.write_text(preset_text("simulated").replace("\n[final]", "seconds = 0.05\n\n[final]"))
    command = [*MNAS, "search", str(slow), "--trials", "200", "--out", str(tmp_path / "run"), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.3)
        status = mnas("status", tmp_path / "run", "--json")
        if status.returncode == 0 and json.loads(status.stdout)["counts"]["trials"] >= 5:
            break
    assert json.loads(status.stdout)["state"] == "running"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"mnas resume {tmp_path / 'run'}" in re.sub(r"\s+", " ", stderr)
    assert "Traceback" not in stderr
    assert json.loads(mnas("status", tmp_path / "run", "--json").stdout)["state"] == "stopped"


def test_what_costs_is_estimated_first_and_goes_on_when_that_is_said(within, tmp_path):
    search = (
        "search",
        "simulated",
        "--trials",
        "10",
        "--budget",
        "price_per_hour=3600",
        "--out",
        str(tmp_path / "run"),
    )
    code, stdout, stderr = within(*search)
    assert (code, stdout) == (0, "")
    said = re.sub(r"\s+", " ", stderr)
    for words in (
        "of 10 trials",
        "expected: ",
        "95 % interval",
        "cost: ",
        " USD",
        "--yes",
        f"resume {tmp_path / 'run'}",
    ):
        assert words in said
    code, stdout, stderr = within(*search, "--yes", "--json")
    assert code == 0
    assert json.loads(stdout)["counts"]["trials"] == 10
    assert "cost: " in stderr


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_the_estimate_asks(tmp_path, answer):
    command = [*MNAS, "search", "simulated", "--trials", "10", "--estimate", "--out", str(tmp_path / "run")]
    leader, follower = pty.openpty()
    with subprocess.Popen(command, stdin=follower, stdout=subprocess.PIPE, stderr=follower) as process:
        os.close(follower)
        shown = b""
        while b"go on?" not in shown:
            shown += os.read(leader, 65536)
        os.write(leader, f"{answer}\n".encode())
        threading.Thread(target=_drain, args=(leader,), daemon=True).start()
        stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert ("10 trials:" in stdout.decode()) == (answer == "y")
    status = json.loads(mnas("status", tmp_path / "run", "--json").stdout)
    assert status["state"] == ("finished" if answer == "y" else "stopped")


def _drain(terminal: int) -> None:
    """Read what a terminal shows, so that who writes to it does not wait."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


def test_a_log_gets_one_line_for_each_phase_behind_the_trials(capsys):
    """Not one for each look at the clock: logs of cluster jobs are read by people."""
    with live() as display:
        for phase in ["training"] * 3 + ["final: training 1 of 2"] * 3 + ["final: training 2 of 2"] * 3:
            display.watch(progress((), 0, phase))
    assert [line.partition(": 0 of 0")[0] for line in capsys.readouterr().err.splitlines()] == [
        "training", "final: training 1 of 2", "final: training 2 of 2",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_terminal_sees_live_progress(tmp_path):
    """On a terminal the display shows trials, cached, best reward, front and time left."""
    text = shown_on_a_terminal("search", "simulated", "--trials", 40, "--out", tmp_path / "run", columns=200)
    assert "40/40" in text
    for word in ("evaluated", "cached", "infeasible", "failed", "best reward", "front", "left"):
        assert word in text


def test_help_explains_every_option(within):
    for verb in ("search", "resume", "show", "front", "measure", "list", "status", "init"):
        code, stdout, _ = within(verb, "--help")
        assert code == 0
        for line in re.findall(r"^ +--[a-z-]+.*$", stdout, re.MULTILINE):
            assert len(line.split(None, 1)) == 2, line


class MeteredDevice(SimulatedDevice):
    """The simulated device with a meter, if that is asked for."""

    def __init__(self, energy: bool = False) -> None:
        self.energy = energy

    def measure(self, architecture: Architecture) -> Latency:
        energy = Energy(33.25, 32.0, 34.5, "made meter") if self.energy else None
        return replace(super().measure(architecture), energy=energy)


def test_energy_is_measured_where_it_is_asked_for_and_there_is_a_meter(monkeypatch):
    metered = EntryPoint("metered", f"{__name__}:MeteredDevice", "mnas.devices")
    monkeypatch.setattr(registry, "entry_points", lambda group: [metered] if group == "mnas.devices" else [])

    def measured(*flags: str) -> str:
        return CliRunner().invoke(app, ["measure", "mnasnet-a1", "--device", "metered", *flags]).stdout

    assert "33.25 mJ per inference above idle (95 % interval 32 - 34.5 mJ), made meter" in measured("--energy")
    assert json.loads(measured("--energy", "--json"))["energy"]["millijoules"] == 33.25
    assert json.loads(measured("--json"))["energy"] is None
    refused = mnas("measure", "mnasnet-a1", "--device", "simulated", "--energy")
    assert refused.returncode == 2
    assert "'energy'" in refused.stderr
