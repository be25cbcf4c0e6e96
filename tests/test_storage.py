"""Promises of the run's journal."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.errors import StorageError
from mnas.objective import Latency, Measurement
from mnas.space import Architecture
from mnas.storage import Ask, RunStorage, Tell
from mnas.trial import Proposal, Trial, TrialState

IDENTITY = {"seed": 0, "space.width": 1.0}
ARCHITECTURE = Architecture.parse("ds_r1_k3_s1_c16 ir_r2_k3_s2_e6_c24")


def a_trial(number: int = 0) -> Trial:
    latency = Latency(1.5, 1.4, 1.6, "formula", "simulated", (1.5, 1.6), {"threads": 1})
    measurement = Measurement(10, 20, 40, latency, 0.5, "a task")
    return Trial(number, (0, 1), ARCHITECTURE, TrialState.COMPLETE, 0.4, measurement, curve=(0.3, None, 0.5))


proposals = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=5).map(
    lambda rows: [Proposal(number, tuple(tokens)) for number, tokens in enumerate(rows)]
)
summaries = st.none() | st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=25, deadline=None)
@given(batch=proposals, summary=summaries)
def test_the_journal_gives_back_what_it_was_given_in_order(tmp_path_factory, batch, summary):
    folder = tmp_path_factory.mktemp("journal")
    trials = [a_trial(proposal.number) for proposal in batch]
    with RunStorage.create(folder, IDENTITY) as storage:
        storage.add_ask(batch)
        for trial in reversed(trials):
            storage.add_trial(trial)
        storage.add_tell(trials, summary)
        storage.add_ask(batch)
    with RunStorage.read(folder) as storage:
        numbers = tuple(trial.number for trial in trials)
        assert list(storage.journal()) == [Ask(tuple(batch)), Tell(numbers, summary), Ask(tuple(batch))]
        assert storage.trials() == trials


def test_a_latency_is_found_again_on_its_device_only(tmp_path):
    latency = Latency(1.5, 1.4, 1.6, "minimum", "board", (1.5, 1.6), {"cores": [0]})
    with RunStorage.create(tmp_path, IDENTITY) as storage:
        storage.add_latency(ARCHITECTURE.id, latency)
        assert storage.latency(ARCHITECTURE.id, "board") == latency
        assert storage.latency(ARCHITECTURE.id, "phone") is None


def test_a_run_can_be_read_while_it_is_written(tmp_path):
    with RunStorage.create(tmp_path, IDENTITY) as writer, RunStorage.read(tmp_path) as reader:
        writer.add_trial(a_trial())
        assert reader.trials() == [a_trial()]
        assert reader.is_being_written()
    with RunStorage.read(tmp_path) as reader:
        assert not reader.is_being_written()


def test_a_second_writer_is_refused(tmp_path):
    with RunStorage.create(tmp_path, IDENTITY), pytest.raises(StorageError, match="another process is writing"):
        RunStorage.create(tmp_path, IDENTITY)
    RunStorage.create(tmp_path, IDENTITY).close()


def test_another_identity_is_refused_with_each_difference_named(tmp_path):
    with RunStorage.create(tmp_path, IDENTITY) as storage:
        storage.add_ask([Proposal(0, (1, 2))])
    with pytest.raises(StorageError) as refused:
        RunStorage.create(tmp_path, {"seed": 3, "space.width": 0.5})
    assert "seed: the run has 0, now it is 3" in str(refused.value)
    assert "space.width: the run has 1.0, now it is 0.5" in str(refused.value)


def test_a_run_that_never_began_may_become_another(tmp_path):
    """Refused for a wrong setting before its first proposal, it goes on with the right one, in the same folder."""
    latency = Latency(1.0, 0.9, 1.1, "minimum", "phone")
    with RunStorage.create(tmp_path, IDENTITY) as storage:
        storage.set_meta("target_ms", 3.0)
        storage.add_latency("abc", latency)
    with RunStorage.create(tmp_path, {"seed": 3}) as storage:
        assert storage.meta("identity") == {"seed": 3}
        assert storage.meta("target_ms") is None
        assert storage.latency("abc", "phone") == latency


def test_another_format_is_refused(tmp_path):
    with RunStorage.create(tmp_path, IDENTITY) as storage:
        storage.set_meta("format", 999)
    for opens in (lambda: RunStorage.create(tmp_path, IDENTITY), lambda: RunStorage.read(tmp_path)):
        with pytest.raises(StorageError, match="has format 999"):
            opens()


@pytest.mark.parametrize("damage", [b"this is no database", b""])
def test_a_file_that_is_no_run_is_refused(tmp_path, damage):
    (tmp_path / "trials.sqlite").write_bytes(damage)
    with pytest.raises(StorageError, match=r"damaged|cannot be used"):
        RunStorage.read(tmp_path)


def test_a_damaged_run_is_refused_and_left_as_it_is(tmp_path):
    with RunStorage.create(tmp_path, IDENTITY) as storage:
        for number in range(50):
            storage.add_trial(a_trial(number))
    path = tmp_path / "trials.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:20000] = b"\xff" * (20000 - 4096)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        RunStorage.create(tmp_path, IDENTITY)
    assert path.read_bytes() == bytes(content)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(StorageError, match="is not a run folder"):
        RunStorage.read(tmp_path)


_FILL = """
import resource, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_storage import IDENTITY, a_trial
from mnas.storage import RunStorage
storage = RunStorage.create(Path({folder!r}), IDENTITY)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for number in range(10_000):
    storage.add_trial(a_trial(number))
    print(number, flush=True)
"""


def test_a_full_disk_stops_with_what_to_do_and_loses_nothing(tmp_path):
    """A file size limit stands in for a full disk; what was reported as stored is there afterwards."""
    script = _FILL.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "StorageError: cannot write to" in done.stderr
    assert "mnas resume" in done.stderr
    stored = int(done.stdout.split()[-1]) + 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 300_000
    with RunStorage.create(tmp_path, IDENTITY) as storage:
        assert [trial.number for trial in storage.trials()] == list(range(stored))
        storage.add_trial(a_trial(stored))


def test_json_holds_null_never_nan(tmp_path):
    trial = a_trial()
    with RunStorage.create(tmp_path, IDENTITY) as storage:
        storage.add_trial(trial)
        with pytest.raises(ValueError, match="JSON compliant"):
            storage.add_tell([trial], {"entropy": float("nan")})
    assert json.loads(json.dumps(trial.to_dict(), allow_nan=False))["curve"] == [0.3, None, 0.5]


def test_a_copied_run_is_a_run(tmp_path):
    with RunStorage.create(tmp_path / "a", IDENTITY) as storage:
        storage.add_trial(a_trial())
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with RunStorage.create(tmp_path / "b", IDENTITY) as storage:
        assert storage.trials() == [a_trial()]
