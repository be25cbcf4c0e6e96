"""What every executor promises."""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mnas.errors import ExportError, SettingsError, TrainingError, WorkerLostError
from mnas.executors import Executor, Finished, Limits, outcomes
from mnas.executors._contract import host_name
from mnas.testing import _executor_jobs as jobs

_LONG_S = 120.0  # for what takes a moment, on a machine that is busy with other things


class ExecutorConformance:
    """Tests for an executor: subclass it and give `make`. Workers need pytest, since its jobs are in this package.

    class TestMyExecutor(ExecutorConformance):
        def make(self, limits):
            return MyExecutor(workers=2, limits=limits)
    """

    runs_in_submit = False  # True: a job has ended when `submit` returns
    can_lose_workers = True  # False: jobs run in this process, which must not end with one of them

    def make(self, limits: Limits) -> Executor:
        """A new executor with at least two workers, if it can have two; SettingsError for limits it cannot keep."""
        raise NotImplementedError("give make(self, limits), which returns the executor to test")

    def folder(self, local: Path) -> Path:
        """An empty folder that the workers see: another than this one where they are on other machines."""
        return local

    def test_it_says_what_it_is(self) -> None:
        """Workers from one, whether they are here, and the limits that it was given; closing it unused is fine."""
        limits = Limits(retries=7)
        with closing(self.make(limits)) as executor:
            assert isinstance(executor.workers, int)
            assert executor.workers >= 1
            assert isinstance(executor.is_here, bool)
            assert executor.limits == limits

    def test_each_job_gives_its_own_value(self) -> None:
        """Whatever order they finish in, and however many wait; with its worker, and the seconds it took itself."""
        with closing(self.make(Limits())) as executor:
            number = 3 * executor.workers
            futures = [executor.submit(jobs.double, n, 0.02 * (number - n), key=n) for n in range(number)]
            found = [future.result(_LONG_S) for future in futures]
            for n, finished in enumerate(found):
                assert isinstance(finished, Finished)
                assert finished.value == 2 * n
                assert isinstance(finished.worker, str)
                assert finished.worker
                assert 0.02 * (number - n) * 0.9 <= finished.seconds < _LONG_S
            activity = executor.activity()
            assert len({worker.name for worker in activity}) == len(activity)
            assert all(worker.trial is None for worker in activity)
            assert sum(worker.jobs for worker in activity) <= number

    def test_what_a_function_holds_goes_with_it(self) -> None:
        """Methods of several objects by turns, each with its own megabyte, and values as large."""
        with closing(self.make(Limits())) as executor:
            objects = [jobs.Multiplier(factor) for factor in (2, 2, 3, 2)]
            futures = [executor.submit(one.times, value) for value, one in enumerate(objects)]
            found = [future.result(_LONG_S).value for future in futures]
            assert found == [one.times(value) for value, one in enumerate(objects)]

    def test_as_many_run_at_once_as_there_are_workers(self, tmp_path: Path) -> None:
        """No more: the others wait, and of these one that is cancelled never runs."""
        if self.runs_in_submit:
            pytest.skip("a job has ended when `submit` returns")
        folder = self.folder(tmp_path)
        with closing(self.make(Limits())) as executor, _let_go(folder):
            futures = self._meeting(executor, folder, more=2)
            time.sleep(0.3)
            assert len(list(folder.glob("job*"))) == executor.workers
            assert sum(future.running() for future in futures) == executor.workers
            for worker in executor.activity():
                assert worker.trial is None or worker.trial in range(len(futures))
                assert worker.since is None or worker.since <= time.time() + 1
            assert futures[-1].cancel()
            (folder / "go").touch()
            assert all(future.result(_LONG_S).value >= executor.workers for future in futures[:-1])
            assert executor.submit(jobs.double, 3).result(_LONG_S).value == 6
            assert not (folder / f"job{len(futures) - 1}").exists()

    def test_a_candidate_that_fails_keeps_its_class_and_its_words(self) -> None:
        """As does what had no memory left; it costs that job alone, and is not said to be its worker's loss."""
        with closing(self.make(Limits())) as executor:
            words = "loss became NaN\n  in epoch 3 [of 5]: {nan}"
            failed = executor.submit(jobs.fail, words)
            unconverted = executor.submit(jobs.fail_to_convert, words)
            without = executor.submit(jobs.have_no_memory)
            good = executor.submit(jobs.double, 4)
            assert (type(error := self._error(failed)), str(error)) == (TrainingError, words)
            assert (type(error := self._error(unconverted)), str(error)) == (ExportError, words)
            self._check_failed(without, "ran out of memory: 0 bytes left")
            assert good.result(_LONG_S).value == 8
            assert executor.submit(jobs.double, 5).result(_LONG_S).value == 10

    def test_a_bug_is_raised_as_it_is_and_says_where(self) -> None:
        """Of its own class where it can be sent, in words where it cannot; the next job runs."""
        with closing(self.make(Limits())) as executor:
            bug = self._error(executor.submit(jobs.divide_by_nothing, 1))
            assert isinstance(bug, ZeroDivisionError)
            assert "divide_by_nothing" in "".join(traceback.format_exception(bug))
            peculiar = self._error(executor.submit(jobs.be_peculiar))
            assert "most peculiar" in "".join(traceback.format_exception(peculiar))
            assert executor.submit(jobs.double, 3).result(_LONG_S).value == 6

    def test_a_lost_worker_costs_its_own_job_alone(self, tmp_path: Path) -> None:
        """WorkerLostError, which has the job tried again, and workers in place of those that were lost."""
        if not self.can_lose_workers:
            pytest.skip("jobs run in this process")
        with closing(self.make(Limits(retries=1))) as executor:
            good, lost, *more = [
                executor.submit(*call) for call in ((jobs.double, 1), (jobs.die,), (jobs.double, 2), (jobs.double, 3))
            ]
            assert [future.result(_LONG_S).value for future in (good, *more)] == [2, 4, 6]
            assert isinstance(self._error(lost), WorkerLostError)
            folder = str(self.folder(tmp_path))
            found = dict(outcomes(executor, jobs.die_at_first, {n: (folder, n) for n in range(2)}))
            values = {n: outcome.value for n, outcome in found.items() if isinstance(outcome, Finished)}
            assert values == {0: 0, 1: 1}, "both come in their second try"

    def test_a_limit_of_time_is_kept_or_refused(self, tmp_path: Path) -> None:
        """What goes beyond it fails by it, once; what waited for a worker as long has all its time."""
        folder = self.folder(tmp_path)
        with closing(self._with_limits(Limits(time_s=3))) as executor, _let_go(folder):
            hung = self._meeting(executor, folder)
            good = executor.submit(jobs.double, 4)
            for future in hung:
                self._check_failed(future, "limits.time_s = 3")
            assert good.result(_LONG_S).value == 8

    def test_a_limit_of_memory_is_kept_or_refused(self) -> None:
        """What asks for more fails by it, once; the next job runs."""
        most = 2 + (math.ceil(_private_gb()) if self.runs_in_submit else 0)
        with closing(self._with_limits(Limits(memory_gb=most))) as executor:
            assert executor.submit(jobs.eat, 0.1).result(_LONG_S).value == 10**8
            self._check_failed(executor.submit(jobs.eat, most + 2.0), f"limits.memory_gb = {most}")
            assert executor.submit(jobs.double, 4).result(_LONG_S).value == 8

    def test_closing_ends_what_runs_and_what_waits(self, tmp_path: Path) -> None:
        """Soon, with its processes, and whoever waits for a job hears of it; closing again does nothing."""
        executor = self.make(Limits())
        if self.runs_in_submit:
            executor.close()
            executor.close()
            return
        folder = self.folder(tmp_path)
        with _let_go(folder):
            names = [executor.submit(jobs.double, 1).result(_LONG_S).worker]
            running = self._meeting(executor, folder)
            waiting = [executor.submit(jobs.double, 1) for _ in range(2)]
            names += [worker.name for worker in executor.activity()]
            executor.close()
            executor.close()
            ended = waiting + (running if self.can_lose_workers else [])
            assert not wait(ended, timeout=_LONG_S).not_done
            assert all(future.cancelled() or isinstance(future.exception(), WorkerLostError) for future in ended)
            with pytest.raises((WorkerLostError, RuntimeError)):  # by `submit` or by the future
                executor.submit(jobs.double, 1).result(_LONG_S)
            if self.can_lose_workers:
                self._soon(lambda: not any(map(_lives_here, names)), "its worker processes ended")

    def _with_limits(self, limits: Limits) -> Executor:
        try:
            return self.make(limits)
        except SettingsError:
            pytest.skip("it says that it cannot keep this limit")

    def _meeting(self, executor: Executor, folder: Path, more: int = 0) -> list[Future[Finished[int]]]:
        """Jobs that stay, on all workers, and some more that wait for one."""
        number = executor.workers + more
        futures = [executor.submit(jobs.meet, str(folder), f"job{n}", key=n) for n in range(number)]
        self._soon(lambda: len(list(folder.glob("job*"))) >= executor.workers, "a job ran on each worker")
        return futures

    def _error(self, future: Future[Any]) -> BaseException:
        error = future.exception(_LONG_S)
        assert error is not None, f"it should have failed, and gave {future.result()}"
        return error

    def _check_failed(self, future: Future[Any], words: str) -> None:
        error = self._error(future)
        assert isinstance(error, TrainingError)
        assert not isinstance(error, WorkerLostError), "it would be tried again"
        assert words in str(error)

    def _soon(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _LONG_S
        while not holds():
            assert time.monotonic() < deadline, f"never was it so that {what}"
            time.sleep(0.02)


@contextmanager
def _let_go(folder: Path) -> Iterator[None]:
    """In the end jobs that stay may go, whatever came of the test: some executors wait for them."""
    try:
        yield
    finally:
        (folder / "go").touch()


def _private_gb() -> float:
    """What a limit of memory counts, of this process."""
    status = Path("/proc/self/status")
    if not status.exists():  # there limits are refused
        return 0.0
    found = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(found["VmData"].split()[0]) / 1e6


def _lives_here(name: str) -> bool:
    """Whether a worker, "host:process id", is another process of this machine that runs."""
    host, _, pid = name.rpartition(":")
    if host != host_name() or not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
