"""A search on Ray whose workers, nodes or driver are killed at random moments: no trial is lost, none is doubled.

50 moments in all. Undisturbed is the same search in one process.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import RAY_ENVIRONMENT, RayNodes

from mnas.folder import load_result
from mnas.loop import Progress
from mnas.result import SearchResult
from mnas.storage import Ask, RunStorage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_report")]

MNAS = [sys.executable, "-c", "from mnas.cli import main; main()"]
SETTINGS = """
name = "faults"
trials = {trials}
workers = {workers}
asynchronous = true
[device]
name = "simulated"
[accuracy]
name = "simulated"
seconds = {seconds}
[controller]
name = "random"
[final]
top = 0
[executor]
name = "ray"
address = "{address}"
"""


class Killer:
    """Calls `strike` at random moments while a search runs, and counts the times that it struck."""

    def __init__(self, strike: Callable[[random.Random, Progress], bool], times: int, waits: tuple[float, float]):
        self._strike, self._times, self._waits = strike, times, waits
        self._rng = random.Random(7)
        self._progress: Progress | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.struck = 0

    def watch(self, progress: Progress) -> None:
        self._progress = progress

    def _run(self) -> None:
        while self.struck < self._times and not self._ended.wait(self._rng.uniform(*self._waits)):
            if self._progress is not None:
                self.struck += self._strike(self._rng, self._progress)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def check_whole(result: SearchResult, undisturbed: SearchResult, essence: Callable[..., dict[str, Any]]) -> None:
    """Every trial is there once, as undisturbed, and was told once."""
    assert [trial.number for trial in result.trials] == list(range(len(undisturbed.trials)))
    assert [essence(trial) for trial in result.trials] == [essence(trial) for trial in undisturbed.trials]
    with RunStorage.read(result.folder) as storage:
        told = [number for entry in storage.journal() if not isinstance(entry, Ask) for number in entry.numbers]
    assert sorted(told) == list(range(len(undisturbed.trials)))


def test_workers_killed_at_20_random_moments_cost_no_trial(simulate, essence, tmp_path):
    def strike(rng: random.Random, progress: Progress) -> bool:
        workers = progress.activity.workers if progress.activity else ()
        busy = [int(w.name.rpartition(":")[2]) for w in workers if w.trial is not None and ":" in w.name]
        with suppress(ProcessLookupError):  # it may just have ended
            if busy:
                os.kill(rng.choice(busy), signal.SIGKILL)
                return True
        return False

    common = {"controller": {"name": "ppo", "batch": 10}, "trials": 80}
    undisturbed = simulate(out=tmp_path / "undisturbed", **common)
    with Killer(strike, 20, (0.2, 0.7)) as killer:
        result = simulate(
            executor={"name": "ray"},
            workers=3,
            accuracy={"name": "simulated", "seconds": 1.0},
            limits={"retries": 20},
            watch=killer.watch,
            **common,
        )
    assert killer.struck == 20
    check_whole(result, undisturbed, essence)
    assert max(trial.attempts for trial in result.trials) > 1


def test_nodes_killed_at_8_random_moments_cost_no_trial(simulate, essence, tmp_path):
    """Spot nodes: one vanishes with all that runs there, another comes in its place."""
    common = {"controller": {"name": "random", "batch": 10}, "trials": 150}
    undisturbed = simulate(out=tmp_path / "undisturbed", **common)
    with RayNodes(2, 2) as nodes:

        def strike(rng: random.Random, progress: Progress) -> bool:
            nodes.replace(rng.randrange(2), 2)
            return True

        with Killer(strike, 8, (0.5, 2.0)) as killer:
            result = simulate(
                executor={"name": "ray", "address": nodes.address},
                workers=4,
                asynchronous=True,
                accuracy={"name": "simulated", "seconds": 1.0},
                limits={"retries": 8},
                watch=killer.watch,
                **common,
            )
    assert killer.struck == 8
    check_whole(result, undisturbed, essence)
    assert max(trial.attempts for trial in result.trials) > 1


class Split:
    """Parts a node from the rest of the cluster while a search runs, and joins it again after so many more trials."""

    def __init__(self, nodes: RayNodes, is_missed: bool) -> None:
        self._nodes, self._is_missed = nodes, is_missed
        self.frozen: set[int] = set()
        self._since: float | None = None
        self._goal: int | None = None  # trials at which it is joined again
        self.is_over = False

    def watch(self, progress: Progress) -> None:
        trials = progress.counts.trials
        if self._since is None:
            if trials >= 8 and self._is_training(progress):
                self.frozen, self._since = self._nodes.freeze(0), time.monotonic()
        elif self.is_over:
            return
        elif not self._is_missed:
            if time.monotonic() - self._since > 2:
                self._join()
        elif self._goal is None:
            if self._nodes.alive() < 3:
                self._goal = trials + 8
        elif trials >= self._goal:
            self._join()

    def _is_training(self, progress: Progress) -> bool:
        """Whether the node trains something, which is then lost with it."""
        workers = progress.activity.workers if progress.activity else ()
        busy = {worker.name.rpartition(":")[2] for worker in workers if worker.trial is not None}
        return bool(busy & set(map(str, self._nodes.process_ids(0))))

    def _join(self) -> None:
        self._nodes.thaw()
        self.is_over = True


@pytest.mark.parametrize("is_missed", [True, False], ids=["until it is missed", "for a moment"])
def test_a_node_that_the_network_parts_from_the_search_costs_no_trial_and_doubles_none(
    simulate, essence, tmp_path, is_missed
):
    """Its trainings go on elsewhere once it is missed; what it still says when it is back, nobody hears."""
    common = {"controller": {"name": "random", "batch": 10}, "trials": 90}
    undisturbed = simulate(out=tmp_path / "undisturbed", **common)
    with RayNodes(2, 2) as nodes:
        split = Split(nodes, is_missed)
        result = simulate(
            executor={"name": "ray", "address": nodes.address},
            workers=4,
            asynchronous=True,
            accuracy={"name": "simulated", "seconds": 1.0},
            watch=split.watch,
            **common,
        )
    assert split.is_over
    check_whole(result, undisturbed, essence)
    attempts = [trial.attempts for trial in result.trials]
    assert max(attempts) == (2 if is_missed else 1)
    for trial in result.trials:
        if trial.attempts == 2:
            assert int(trial.worker.rpartition(":")[2]) not in split.frozen, "it was trained elsewhere"


def _driver(*arguments: object) -> subprocess.Popen[str]:
    command = [*MNAS, *map(str, arguments)]
    environment = {**os.environ, **RAY_ENVIRONMENT}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_driver_killed_at_22_random_moments_loses_no_trial(simulate, essence, tmp_path):
    """It is resumed after each, to be extended by four trials that a life may just not come to."""
    run, rng = tmp_path / "killed", random.Random(7)
    struck = 0
    with RayNodes(2, 2) as nodes:
        settings = tmp_path / "faults.toml"
        settings.write_text(SETTINGS.format(trials=4, workers=4, seconds=0.5, address=nodes.address))
        first = _driver("search", settings, "--out", run)
        first.wait(120)
        while struck < 22:
            driver = _driver("resume", run, "--trials", 24 + 4 * struck)
            try:
                driver.wait(rng.uniform(2.0, 6.0))
            except subprocess.TimeoutExpired:
                driver.kill()
                struck += 1
            driver.communicate()
        total = 24 + 4 * struck
        last = _driver("resume", run, "--trials", total)
        told = last.communicate(timeout=300)[1]
        assert last.returncode == 0, told
    undisturbed = simulate(out=tmp_path / "undisturbed", controller="random", trials=total)
    check_whole(load_result(run), undisturbed, essence)


def test_a_head_that_is_gone_stops_the_search_which_goes_on_with_processes(simulate, essence, tmp_path):
    run, settings = tmp_path / "run", tmp_path / "faults.toml"
    with RayNodes(2) as nodes:
        settings.write_text(SETTINGS.format(trials=60, workers=2, seconds=3.0, address=nodes.address))
        driver = _driver("search", settings, "--out", run)
        deadline = time.monotonic() + 120
        while _stored(run) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        nodes.kill_head()
        told = driver.communicate(timeout=120)[1]
        assert driver.returncode == 1, told
        assert "does not answer" in told
        assert "mnas resume" in told
    kept = _stored(run)
    assert kept >= 2
    moved = _driver("resume", run, "--executor", "processes", "--workers", 2, "--trials", kept + 2)
    assert moved.wait(120) == 0
    undisturbed = simulate(out=tmp_path / "undisturbed", controller="random", trials=kept + 2)
    assert [essence(t) for t in load_result(run).trials][:kept] == [essence(t) for t in undisturbed.trials][:kept]


def _stored(run: Path) -> int:
    if not (run / "trials.sqlite").exists():
        return 0
    with suppress(Exception), RunStorage.read(run) as storage:  # it may be just being made
        return len(storage.trials())
    return 0
