"""How quickly `mnas board` answers for ten thousand trials, and what an hour of an open page costs.

    python benchmarks/bench_board.py

The application is asked in-process, without a network between; bench_board_page.py measures what a browser makes of
it. An hour is what the page asks in it: 3,600 times for new trials and machines, 720 times how the search went, while
a trial is stored for every 36th. Last, what looking on costs a search: storing a trial alone, and beside a reader in
another process that looks ten times a second.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from board_runs import large_run
from fastapi.testclient import TestClient

from mnas.board import create_app
from mnas.storage import RunStorage
from mnas.trial import Trial
from mnas.views import RunView

REPEATS = 15
HOURS, POLLS, TRIALS_IN_AN_HOUR, SEARCHES = 3, 3_600, 100, 720
STORED = 200  # trials, to tell what storing one takes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    count = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as place:
        folder = large_run(Path(place) / "run", trials=count)
        client = TestClient(create_app([folder]), base_url="http://127.0.0.1")
        rows = answers(client, folder)
        for name, ms in rows.items():
            print(f"{name:44} {ms:10.1f} ms")
        memory = an_hour(folder)
        for name, megabytes in memory.items():
            print(f"{name:44} {megabytes:10.1f} MB")
        stored = beside_a_reader(folder)
        for name, ms in stored.items():
            print(f"{name:44} {ms:10.2f} ms")
    document = {"benchmark": "board", "trials": count, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    print(json.dumps(document | {"ms": rows, "rss_mb": memory, "store_ms": stored}))


def answers(client: TestClient, folder: Path) -> dict[str, float]:
    """Milliseconds of each question, the first ones once, the others as the median."""
    rows = {"first look: reading everything": ms(lambda: ask(client, ""))}
    cursor = ask(client, "/trials")["cursor"]
    number = ask(client, "/trials")["best"]
    rows["/search, the first time"] = ms(lambda: ask(client, "/search"))
    rows["/trials, all of them"] = repeated(lambda: ask(client, "/trials"))
    rows["/trials, nothing new"] = repeated(lambda: ask(client, f"/trials?after={cursor}"))
    rows["/machines"] = repeated(lambda: ask(client, "/machines"))
    rows["a run's description"] = repeated(lambda: ask(client, ""))
    rows["/search"] = repeated(lambda: ask(client, "/search"))
    rows["a network"] = repeated(lambda: ask(client, f"/trials/{number}"))
    found = []
    with writing(folder) as storage:
        for trial in more(storage, REPEATS):
            storage.add_trial(trial)
            found.append(ms(lambda: ask(client, f"/trials?after={cursor}")))
    return rows | {"/trials, one new": median(found)}


def an_hour(folder: Path) -> dict[str, float]:
    """Resident megabytes before and after an hour of an open page, in a process of its own without torch."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        begun, hours = pool.apply(hours_of_looking, (folder, HOURS))
    return {"memory, everything read": begun} | {f"memory, after hour {n}": mb for n, mb in enumerate(hours, start=1)}


def hours_of_looking(folder: Path, hours: int) -> tuple[float, list[float]]:
    """What the server does for an open page; resident megabytes before and after each hour."""
    view, found = RunView(folder), []
    cursor = view.trials().cursor
    view.search()
    begun = resident_mb()
    for _ in range(hours):
        with writing(folder) as storage:
            trials = iter(more(storage, TRIALS_IN_AN_HOUR))
            for poll in range(POLLS):
                if poll % (POLLS // TRIALS_IN_AN_HOUR) == 0:
                    storage.add_trial(next(trials))
                table = view.trials(cursor)
                cursor = table.cursor
                answers = [table, view.machines()] + ([view.search()] if poll % (POLLS // SEARCHES) == 0 else [])
                for answer in answers:
                    answer.model_dump_json()
        found.append(resident_mb())
    return begun, found


def beside_a_reader(folder: Path) -> dict[str, float]:
    """Milliseconds of storing a trial, alone and beside a reader."""
    with writing(folder) as storage:
        alone = stored_ms(storage)
        ended = multiprocessing.Event()
        reader = multiprocessing.Process(target=look_on, args=(folder, ended))
        reader.start()
        time.sleep(5)  # until it has read what was there
        beside = stored_ms(storage)
        ended.set()
        reader.join()
    return {"storing a trial, alone": alone, "storing a trial, beside a reader at 10 Hz": beside}


def stored_ms(storage: RunStorage) -> float:
    """The median of storing some trials, fifty a second."""
    found = []
    for trial in more(storage, STORED):
        found.append(ms(lambda trial=trial: storage.add_trial(trial)))  # type: ignore[misc]
        time.sleep(0.02)
    return median(found)


def look_on(folder: Path, ended: Any) -> None:
    """Read what is new, ten times a second."""
    view, cursor = RunView(folder), 0
    while not ended.wait(0.1):
        cursor = view.trials(cursor).cursor


def writing(folder: Path) -> RunStorage:
    """The run, open as its search has it."""
    with RunStorage.read(folder) as storage:
        identity = storage.meta("identity")
    return RunStorage.create(folder, identity)


def more(storage: RunStorage, count: int) -> list[Trial]:
    """Further trials like those that are there."""
    numbers = [number for number, _ in storage.trial_rows()]
    like = storage.trial(numbers[-1])
    return [replace(like, number=numbers[-1] + 1 + index, finished=time.time() + index) for index in range(count)]


def ask(client: TestClient, path: str) -> Any:
    """An answer, read."""
    answer = client.get(f"/api/runs/0{path}")
    answer.raise_for_status()
    return answer.json()


def repeated(question: Callable[[], Any]) -> float:
    """The median milliseconds of a question."""
    return median(ms(question) for _ in range(REPEATS))


def ms(question: Callable[[], Any]) -> float:
    """Milliseconds of a question."""
    began = time.perf_counter()
    question()
    return 1e3 * (time.perf_counter() - began)


def resident_mb() -> float:
    """Resident memory of this process."""
    text = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
