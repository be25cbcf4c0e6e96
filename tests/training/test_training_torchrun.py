"""Processes that torchrun started train as one does, and end with equal weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_training import digest, trained

from mnas.errors import SettingsError
from mnas.training import Hardware, rank, started_by_torchrun

SETTINGS = {"epochs": 3, "dropout": 0.0, "randaugment": 5, "mixup": 0.2}
SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
from mnas.training import Checkpoints, Hardware, rank
from small_training import digest, trained

torch.set_num_threads(1)
folder, kill_at = Path(sys.argv[1]), int(sys.argv[2])

def on_step(progress):
    if progress.step == kill_at and rank() == 1:
        os.kill(os.getpid(), 9)

checkpoints = Checkpoints(folder / "checkpoints", every_seconds=0, resume=True)
settings = json.loads(sys.argv[3])
model, result = trained(hardware=Hardware(distributed=True), checkpoints=checkpoints, on_step=on_step, **settings)
(folder / f"{rank()}.json").write_text(json.dumps([digest(model), result.curve, result.losses]))
"""


def torchrun(folder, kill_at=0, **settings):
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, str(folder / "script.py"), str(folder), str(kill_at), json.dumps(settings)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    if kill_at:
        assert done.returncode, "a process was killed, and the others should not have gone on"
        assert f"{-signal.SIGKILL}" in done.stderr
        return None
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(2)]


@pytest.mark.slow  # two processes load torch
def test_two_processes_train_as_one_with_the_batch_in_two_pieces(tmp_path):
    """Batches, augmentation, batch norm and accuracy are the same; floats are added in another order at most."""
    torch.set_num_threads(1)
    first, second = torchrun(tmp_path, **SETTINGS)
    _, alone = trained(**SETTINGS, hardware=Hardware(images_at_once=8))
    assert first == second
    assert first[2] == pytest.approx(alone.losses, rel=1e-4)
    assert first[1] == pytest.approx(alone.curve, abs=0.05)


@pytest.mark.slow
def test_processes_of_which_one_is_killed_go_on_to_the_same_result(tmp_path):
    folders = [tmp_path / "killed", tmp_path / "whole"]
    for folder in folders:
        folder.mkdir()
    settings = {**SETTINGS, "dropout": 0.2}
    torchrun(folders[0], kill_at=5, **settings)
    assert torchrun(folders[0], **settings) == torchrun(folders[1], **settings)


def test_alone_there_is_no_torchrun():
    if started_by_torchrun():
        pytest.skip("these tests run under torchrun")
    assert rank() == 0
    with pytest.raises(SettingsError, match="torchrun --nproc-per-node"):
        trained(hardware=Hardware(distributed=True))


def test_one_process_in_two_pieces_repeats_bit_for_bit():
    settings = {**SETTINGS, "hardware": Hardware(images_at_once=8)}
    assert digest(trained(**settings)[0]) == digest(trained(**settings)[0])
