"""Promises of train, evaluate, export and ship on the command line, kept by running them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import subprocess
import termios
from pathlib import Path

import pytest
import safetensors.torch
import torch
from command_line import MNAS, mnas, shown_on_a_terminal

BLOCKS = "input_r12_c1 stem_k3_s1_c8 ds_r1_k3_s2_c16 ir_r1_k3_s2_e2_c24 head_c32_n10"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "model"
    done = mnas("train", BLOCKS, "--data", "digits", "--epochs", 2, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"step \d+ of \d+, epoch \d, loss \d+\.\d+, [\d,]+ images/s, \d:\d\d left", done.stderr)
    return folder


def test_evaluate_and_export_have_what_scripts_rely_on(within, model):
    scored = json.loads(within("evaluate", str(model), "--split", "test", "--json")[1])
    assert {"accuracy", "low", "high", "macro_f1", "confusion", "classes", "images"} <= scored.keys()
    (made,) = json.loads(within("export", str(model), "--no-measure", "--json")[1])["exports"]
    assert made["path"] == str(model / "model.onnx")
    assert {"sha256", "bytes", "largest_difference", "agreement", "accuracy"} <= made.keys()
    assert made["latency"] is None


@pytest.mark.slow
def test_exported_files_are_measured_on_this_machine_or_on_another_device(within, model):
    code, stdout, stderr = within("export", str(model), "--json")
    assert code == 0, stderr
    found = json.loads(stdout)["exports"][0]["latency"]
    assert found["latency_ci_ms"][0] < found["latency_ms"] < found["latency_ci_ms"][1]
    assert found["device"].startswith("cpu onnxruntime")
    code, stdout, stderr = within("export", str(model), "--device", "simulated")
    assert code == 0, stderr
    assert "model.onnx was not measured: device 'simulated' measures networks" in " ".join(stdout.split())
    assert within("export", str(model), "--device", "simulate")[0] == 2
    code, stdout, stderr = within("measure", str(model / "model.onnx"), "--processes", "2", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["device"] == found["device"]
    code, _, stderr = within("measure", str(model / "model.onnx"), "--int8")
    assert code == 2
    assert "leave out the options for them" in " ".join(stderr.split())


@pytest.mark.slow
def test_the_card_has_a_command_that_makes_the_same_model(model, tmp_path):
    lines = (model / "card.md").read_text().splitlines()
    command = next(line.strip() for line in lines if line.strip().startswith("mnas train"))
    words = shlex.split(command)[1:]
    words[words.index("--out") + 1] = str(tmp_path / "again")
    done = mnas(*words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / "curve.jsonl").read_text() == (model / "curve.jsonl").read_text()


def test_a_second_training_says_that_it_is_done(within, model):
    code, stdout, stderr = within("train", str(model / "training.toml"), "--out", str(model), "--resume")
    assert code == 0, stderr
    assert "was trained to the end before" in stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train", "mnasnet-a1", "--out", "{tmp}/a"], 2, "--data is needed"),
        (["train", "mnasnet-a9", "--data", "digits", "--out", "{tmp}/a"], 2, "did you mean 'mnasnet-a1'?"),
        (["train", "mnasnet-a1", "--data", "digit", "--out", "{tmp}/a"], 2, "did you mean 'digits'?"),
        (["train", "mnasnet-a1", "--data", "nowhere/at/all", "--out", "{tmp}/a"], 2, "no folder of images"),
        (["train", "mnasnet-a1", "--data", "digits", "--recipe", "finetun", "--out", "{tmp}/a"], 2, "'finetune'?"),
        (["train", "mnasnet-a1", "--data", "digits", "--on", "tpu", "--out", "{tmp}/a"], 2, "auto, cpu, cuda"),
        (["evaluate", "{tmp}"], 2, "no model's folder"),
        (["evaluate", "{tmp}", "--split", "tset"], 2, "did you mean 'test'?"),
        (["export", "{tmp}", "--to", "onx"], 2, "did you mean 'onnx'?"),
        (["export", "{tmp}", "--no-measure", "--device", "cpu"], 2, "leave it or --no-measure out"),
        (["ship", "{tmp}", "--data", "digits"], 1, "is not a run folder"),
    ],
)
def test_a_mistake_gets_a_message_and_an_exit_code(within, monkeypatch, tmp_path, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    ended, stdout, stderr = within(*[argument.replace("{tmp}", str(tmp_path)) for argument in arguments])
    assert ended == code, stderr
    assert said in re.sub(r"\s+", " ", stderr)
    assert "Traceback" not in stderr
    assert stdout == ""


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_says_how_to_go_on_and_going_on_ends_with_the_same_weights(tmp_path):
    """The key itself, in the foreground of a terminal: all processes of the training get its signal."""
    out, options = tmp_path / "model", ["--data", "digits", "--epochs", "60"]
    leader, follower = pty.openpty()
    command = [*MNAS, "train", BLOCKS, *options, "--out", str(out)]
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), env={**os.environ, "COLUMNS": "500"},
    )  # fmt: skip
    os.close(follower)
    pressed, shown = False, b""
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while True:
            shown += os.read(leader, 65536)
            if not pressed and (out / "curve.jsonl").exists():
                pressed = True
                os.write(leader, b"\x03")
    assert process.wait() == 130, shown
    assert b"Traceback" not in shown
    kept = re.search(rb"a checkpoint of step (\d+) is kept\. Go on with: mnas (.*)", shown)
    assert kept is not None, shown
    with safetensors.safe_open(out / "checkpoint.safetensors", "pt") as file:
        assert json.loads(file.metadata()["mnas.checkpoint"])["facts"]["step"] == int(kept[1])
    done = mnas(*shlex.split(kept[2].decode().strip()))
    assert done.returncode == 0, done.stderr
    assert mnas("train", BLOCKS, *options, "--out", tmp_path / "whole").returncode == 0
    ours, theirs = (safetensors.torch.load_file(folder / "model.safetensors") for folder in (out, tmp_path / "whole"))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert (out / "curve.jsonl").read_text() == (tmp_path / "whole" / "curve.jsonl").read_text()


@pytest.mark.slow
def test_a_terminal_sees_speed_and_time_left(tmp_path):
    text = shown_on_a_terminal(
        "train", BLOCKS, "--data", "digits", "--epochs", 4, "--out", tmp_path / "model", columns=160
    )
    for word in ("training", "images/s", "left", "loss"):
        assert word in text


@pytest.mark.slow
def test_ship_of_a_run_on_the_command_line(tmp_path):
    settings = tmp_path / "small.toml"
    settings.write_text(
        'trials = 12\nworkers = 0\n[space]\nname = "mnasnet"\nwidth = 0.1\nresolution = 12\n'
        "head_filters = 32\nclasses = 10\ninput_channels = 1\n"
        '[controller]\nname = "random"\n[device]\nname = "simulated"\n[accuracy]\nname = "simulated"\n'
        "[final]\ntop = 0\n"
    )
    assert mnas("search", settings, "--out", tmp_path / "run").returncode == 0
    refused = mnas("ship", tmp_path / "run")
    assert (refused.returncode, "name those to train on with --data" in refused.stderr) == (2, True)
    done = mnas("ship", tmp_path / "run", "--top", 2, "--data", "digits", "--epochs", 1, "--json")
    assert done.returncode == 0, done.stderr
    shipped = json.loads(done.stdout)
    assert shipped["model"] == str(tmp_path / "run" / "ship" / "model")
    assert len(shipped["candidates"]) == 2
    card = (tmp_path / "run" / "ship" / "model" / "card.md").read_text()
    words = shlex.split(next(line.strip() for line in card.splitlines() if line.strip().startswith("mnas ship")))[1:]
    again = json.loads(mnas(*words, "--json").stdout)
    assert again["test"] == shipped["test"]
