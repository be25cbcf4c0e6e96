"""Promises of what is shown of a run: it says what the result says, reads what is new, and survives bad folders."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mnas.accuracy import AccuracyEstimate, SimulatedAccuracy
from mnas.errors import StopError, StorageError, TrainingError
from mnas.folder import load_result
from mnas.models import reference_architecture
from mnas.pareto import hypervolume
from mnas.result import SearchResult
from mnas.space import Architecture, described_space
from mnas.storage import RunStorage
from mnas.trial import Trial, TrialState
from mnas.views import TRIAL_COLUMNS, NotThereError, RunView, conditions, verdict

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture
def result(mixed_run: Path) -> SearchResult:
    return load_result(mixed_run)


def store(folder: Path, *trials: Trial) -> None:
    """Add trials to a run as its search does."""
    with RunStorage.read(folder) as storage:
        identity = storage.meta("identity")
    with RunStorage.create(folder, identity) as storage:
        for trial in trials:
            storage.add_trial(trial)


def test_it_says_what_the_result_says(result):
    view = RunView(result.folder)
    table, told = view.trials(), view.description()
    assert {TrialState.FAILED, TrialState.INFEASIBLE, TrialState.COMPLETE} <= {t.state for t in result.trials}
    assert table.front == [trial.number for trial in result.front]
    assert table.best == told.best == result.best.number
    assert told.counts.model_dump() == vars(result.counts)
    assert (told.device, told.task, told.target_ms) == (result.device, result.task, result.target_ms)
    assert told.notes == list(result.notes)
    assert [(row.name, row.value) for row in told.constraints] == [("max_latency_ms", 35.0)]
    for place, number in enumerate(table.number):
        trial = result.trials[number]
        assert table.state[place] == trial.state.value
        assert table.latency_ms[place] == trial.latency_ms
        assert table.accuracy[place] == trial.accuracy
        assert table.error[place] == trial.error
        assert table.architecture_id[place] == trial.architecture.id


def test_columns_are_equally_long(result):
    table = RunView(result.folder).trials()
    assert {len(getattr(table, name)) for name in TRIAL_COLUMNS} == {40}


def test_the_hypervolume_has_a_fixed_reference_point(result):
    view = RunView(result.folder)
    table, search = view.trials(), view.search()
    assert table.reference_point == [1.1 * result.reach_ms[1], 0.0]
    points = [(t.latency_ms, t.accuracy) for t in result.front]
    assert table.hypervolume == pytest.approx(hypervolume(points, (table.reference_point[0], 0.0)))
    assert search.hypervolume[-1] == pytest.approx(table.hypervolume)
    assert search.hypervolume == sorted(search.hypervolume)
    assert search.best_reward[-1] == result.best.reward
    assert search.distinct[-1] == result.counts.distinct


def test_only_what_is_new_is_given_in_the_order_stored(result):
    view = RunView(result.folder)
    first = view.trials()
    assert view.trials(first.cursor).number == []
    late, later = (replace(result.trials[3], number=number) for number in (42, 41))
    store(result.folder, late)
    second = view.trials(first.cursor)
    assert (second.number, second.restart) == ([42], False)
    store(result.folder, later)  # as asynchronous searches do: 41 after 42
    third = view.trials(second.cursor)
    assert third.number == [41]
    assert view.trials(first.cursor).number == [42, 41]
    assert sorted(view.trials().number) == [*range(40), 41, 42]


def test_the_front_is_the_same_in_whatever_order_trials_come(result):
    """The first of equal ones stands, even if it is stored after the others."""
    folder, whole = result.folder, load_result(result.folder)
    shuffled = [trial for trial in whole.trials if trial.number % 2] + list(whole.trials[::2])
    connection = sqlite3.connect(folder / "trials.sqlite", isolation_level=None)
    connection.execute("DELETE FROM trials")
    connection.close()
    view, cursor = RunView(folder), 0
    for trial in shuffled:
        store(folder, trial)
        cursor = view.trials(cursor).cursor
    store(folder, replace(whole.front[0], number=50), replace(whole.best, number=51))
    assert view.trials().front == [trial.number for trial in whole.front]
    assert view.trials().best == whole.best.number


def test_another_reader_asks_for_everything_again(result):
    """A cursor of a server that was started again, or of a run that was begun anew in its folder."""
    cursor = RunView(result.folder).trials().cursor
    again = RunView(result.folder).trials(cursor)
    assert again.restart
    assert len(again.number) == 40


def test_a_run_begun_anew_is_told(result, simulate):
    view = RunView(result.folder)
    cursor = view.trials().cursor
    shutil.rmtree(result.folder)
    simulate(trials=5, out=result.folder)
    table = view.trials(cursor)
    assert table.restart
    assert table.number == [0, 1, 2, 3, 4]


def test_a_folder_that_goes_and_comes_back_is_read_again(result, tmp_path):
    view = RunView(result.folder)
    cursor = view.trials().cursor
    result.folder.rename(tmp_path / "away")
    assert (view.summary().state, view.summary().name) == ("broken", "run")
    for ask in (view.trials, view.description, view.search, view.machines, lambda: view.network(3)):
        with pytest.raises(StorageError):
            ask()
    (tmp_path / "away").rename(result.folder)
    assert view.summary().state == "finished"
    assert view.trials(cursor).number == []


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00", b"no database at all" * 100])
def test_a_broken_journal_is_a_broken_run(result, content):
    view = RunView(result.folder)
    (result.folder / "trials.sqlite").write_bytes(content)
    (result.folder / "trials.sqlite-wal").unlink(missing_ok=True)
    assert view.summary().state == "broken"
    with pytest.raises(StorageError, match=r"trials\.sqlite|run folder"):
        view.trials()


def test_a_trial_that_lacks_something_is_named_and_what_was_read_stays(result):
    view = RunView(result.folder)
    cursor = view.trials().cursor
    connection = sqlite3.connect(result.folder / "trials.sqlite", isolation_level=None)
    connection.execute("INSERT INTO trials VALUES (40, '{}')")
    for _ in range(2):
        with pytest.raises(StorageError, match="trial 40"):
            view.trials(cursor)
    connection.execute("DELETE FROM trials WHERE number = 40")
    connection.close()
    later = view.trials(cursor)
    assert (later.number, later.restart) == ([], False)


def test_settings_of_the_wrong_kind_are_told(result):
    path = result.folder / "run.toml"
    text = path.read_text(encoding="utf-8")
    for wrong in (
        text.replace("trials = 40", 'trials = "many"'),
        'space = "mine"\n' + text.replace("[space]", "[other]"),
    ):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(StorageError, match=r"run\.toml is damaged"):
            RunView(result.folder).description()


def test_a_damaged_status_costs_the_machine_room_alone(result):
    (result.folder / "status.json").write_text('{"format": 1, "state": "run')
    view = RunView(result.folder)
    assert len(view.trials().number) == 40
    assert "status.json" in view.summary().problem
    assert view.description().phase == "finished"
    with pytest.raises(StorageError, match=r"status\.json"):
        view.machines()


def test_a_network_has_all_there_is_to_know(result):
    view, trial = RunView(result.folder), result.best
    network = view.network(trial.number)
    assert network.architecture == str(trial.architecture)
    assert network.block_strings == list(trial.architecture.block_strings)
    assert [row.label for row in network.rows] == [
        "stem",
        *map(str, range(1, len(trial.architecture.blocks) + 1)),
        "head",
    ]
    assert sum(row.params for row in network.rows) == network.params == trial.measurement.params
    assert sum(row.madds for row in network.rows) == network.madds
    assert network.rows[0].input_resolution == trial.architecture.resolution
    assert [row.ms for row in network.rows] == [None] * len(network.rows)
    assert network.tokens["block1.op"] in ("conv", "sepconv", "mbconv3", "mbconv6")
    assert network.curve == list(trial.curve)
    failed = next(t for t in result.trials if t.state is TrialState.FAILED)
    assert view.network(failed.number).error == "it does not run <here>"


def test_conditions_are_told_in_a_few_words():
    interval = {"kind": "t", "architecture": "input_r16_c1 " * 20, "process_latency_ms": [2.0, 1.0], "why": None}
    assert conditions({"interval": interval, "notes": ["a"]}) == {"interval": "kind t, process latency ms 1 to 2"}


def test_what_is_not_there_is_said(result):
    view = RunView(result.folder)
    for ask in (lambda: view.network(40), lambda: view.network(-1), lambda: view.reference(0)):
        with pytest.raises(NotThereError):
            ask()


def test_what_ppo_prefers_is_what_it_said(result):
    preferences = RunView(result.folder).search().preferences
    assert [row.source for row in preferences] == ["policy"] * 42
    assert preferences[0].steps == [4, 9, 14, 19, 24, 29, 34, 39]
    assert all(sum(row) == pytest.approx(1, abs=1e-3) for row in preferences[0].probabilities)


def test_what_others_prefer_is_seen_in_their_proposals(simulate):
    result = simulate(controller="random", trials=100)
    search = RunView(result.folder).search()
    assert {row.source for row in search.preferences} == {"trials"}
    first = search.preferences[0]
    assert first.steps[-1] == 99
    last = [trial.tokens[0] for trial in result.trials[-search.window :]]
    assert first.probabilities[-1] == [last.count(option) / search.window for option in range(4)]


def test_the_choice_that_decides_is_found_important(tiny_space, simulate):
    result = simulate(space=tiny_space, controller="random", trials=120)
    search = RunView(result.folder).search()
    assert search.explained["latency"] > 0.9
    latency = {row.choice: row.latency for row in search.importance}
    assert all(found.low <= found.share <= found.high for found in latency.values())
    assert latency["block1.op"].low > latency["block1.kernel"].high
    assert 0.7 < sum(found.share for found in latency.values()) < 1.3


def test_few_trials_tell_no_importance(simulate):
    search = RunView(simulate(trials=10).folder).search()
    assert {row.accuracy for row in search.importance} == {None}
    assert search.explained == {}


def test_the_optimum_is_known_once_the_whole_space_was_tried(simulate):
    kernels = {"ops": ["sepconv"], "se_ratios": [0], "skips": ["identity"], "filter_ratios": [1], "layer_deltas": [0]}
    blocks = [{"filters": 16, "layers": 1, "stride": 1}, {"filters": 24, "layers": 2, "stride": 2}]
    space = described_space(blocks=blocks, choices=kernels, resolution=32, classes=10)
    result = simulate(space=space, controller="random", trials=3)
    assert RunView(result.folder).search().optimum is None
    whole = simulate(space=space, controller="random", trials=30, out=result.folder)
    assert whole.counts.distinct == space.distinct_size() == 4
    assert RunView(result.folder).search().optimum == whole.best.reward


def test_a_space_that_only_a_program_can_make_has_numbered_choices(simulate, tiny_space):
    class Own:
        name = "own"

        def __getattr__(self, attribute: str) -> object:
            return getattr(tiny_space, attribute)

        def describe(self) -> dict[str, object]:
            return {"own": 1}

    view = RunView(simulate(space=Own(), trials=10).folder)
    assert [choice.name for choice in view.description().space.choices][:2] == ["choice 1", "choice 2"]
    assert set(view.network(3).tokens) == {f"choice {n}" for n in range(1, len(tiny_space.choices) + 1)}


def test_looking_on_writes_nothing_and_locks_nothing(result):
    before = {path.name for path in result.folder.iterdir()}
    with RunStorage.create(result.folder, RunStorage.read(result.folder).meta("identity")) as storage:
        view = RunView(result.folder)
        view.summary(), view.description(), view.trials(), view.search(), view.machines()
        storage.add_trial(replace(result.trials[0], number=40))
        assert len(view.trials().number) == 41
    # What SQLite itself keeps beside a journal that is open.
    added = {path.name for path in result.folder.iterdir()} - before
    assert added <= {"trials.sqlite-wal", "trials.sqlite-shm"}


@pytest.fixture
def compared(result: SearchResult) -> Path:
    """A run with a final comparison, as it stores one."""
    entries = [
        {"label": f"trial {result.best.number}", "architecture": str(result.best.architecture), "is_winner": True,
         "is_reference": False, "latency": asdict(result.best.measurement.latency)},
        {"label": "mobilenet-v2 x0.5", "architecture": str(reference_architecture("mobilenet-v2", width=0.5)),
         "is_winner": False, "is_reference": True, "latency": asdict(result.front[0].measurement.latency)},
    ]  # fmt: skip
    with RunStorage.read(result.folder) as storage:
        identity = storage.meta("identity")
    with RunStorage.create(result.folder, identity) as storage:
        storage.set_meta("final_entries", entries)
        storage.set_meta("final_test_images", 360)
        storage.set_meta("final_task", "digits test")
        for entry, accuracies in zip(entries, [(0.97, 0.95), (0.80, 0.82)], strict=True):
            for seed, accuracy in enumerate(accuracies):
                name = Architecture.parse(entry["architecture"]).id
                storage.add_final(f"{name} digits test seed {seed}", {"accuracy": accuracy})
    return result.folder


def test_the_final_comparison_is_shown_with_its_intervals_and_verdict(compared):
    told, result = RunView(compared).description(), load_result(compared)
    assert len(told.finals) == len(result.finals) == 2
    for shown, final in zip(told.finals, result.finals, strict=True):
        assert (shown.label, shown.accuracy, shown.low, shown.high) == (
            final.label, final.accuracy, final.low, final.high,
        )  # fmt: skip
        assert (shown.seeds, shown.test_images) == (list(final.accuracies), 360)
        assert shown.block_string == str(final.architecture)
    assert (told.finals[0].trial, told.finals[1].trial) == (result.best.number, None)
    assert told.verdict == verdict(result.finals)
    assert told.verdict[0].startswith("The winner is more accurate")


def test_references_are_networks_like_others(compared):
    view = RunView(compared)
    (drawn,) = view.description().references
    assert (drawn.label, drawn.kind, drawn.accuracy) == ("mobilenet-v2 x0.5", "retrained", pytest.approx(0.81))
    network = view.reference(0)
    assert (network.number, network.state, network.label) == (None, "REFERENCE", drawn.label)
    assert network.latency_ms == drawn.latency_ms
    assert Architecture.parse(network.architecture) == reference_architecture("mobilenet-v2", width=0.5)
    assert "mnas show 'input_" in network.commands.show


def test_commands_are_quoted(result, tmp_path):
    folder = tmp_path / "a run; rm -rf ~"
    result.folder.rename(folder)
    commands = RunView(folder).description().commands
    assert shlex.split(commands.resume) == ["mnas", "resume", str(folder)]
    best = shlex.split(RunView(folder).network(3).commands.show)
    assert best == ["mnas", "show", f"{folder}:3"]


def test_a_driver_that_does_not_answer_is_silent(result):
    path = result.folder / "status.json"
    status = json.loads(path.read_text())
    assert RunView(result.folder).summary().state == "finished"
    path.write_text(json.dumps({**status, "state": "running", "written": time.time() - 5}))
    assert RunView(result.folder).summary().state == "running"
    path.write_text(json.dumps({**status, "state": "running", "written": time.time() - 120}))
    view = RunView(result.folder)
    assert (view.summary().state, view.machines().state) == ("silent", "silent")
    assert "has not answered for 12" in view.summary().problem


def test_a_search_that_failed_says_so_with_its_reason(simulate, tmp_path):
    class Diverging(SimulatedAccuracy):
        def estimate(self, architecture: Architecture, seed: int) -> AccuracyEstimate:
            raise TrainingError("the loss is not finite")

    with pytest.raises(StopError):
        simulate(accuracy=Diverging())
    view = RunView(tmp_path / "run")
    for told in (view.summary(), view.description()):
        assert told.state == "failed"
        assert told.problem == "the last 5 trials failed alike, so the search stops: the loss is not finite"


def test_runs_of_earlier_versions_say_how_they_stand_by_their_files(result):
    (result.folder / "status.json").unlink()
    view = RunView(result.folder)
    assert (view.summary().state, view.machines().state, view.description().has_status) == ("finished", "none", False)
    text = (result.folder / "run.toml").read_text()
    (result.folder / "run.toml").write_text(text.replace("trials = 40", "trials = 50"))
    for path in result.folder.glob("trials.sqlite*"):
        os.utime(path, (time.time() - 3600,) * 2)
    assert view.summary().state == "stopped"
    store(result.folder, replace(result.best, number=40))
    assert view.summary().state == "running"
