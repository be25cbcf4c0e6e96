"""Promises of the Ray executor on a Ray of its own: what a job does costs that job alone, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_nodes import RAY_ENVIRONMENT, RayNodes

import mnas
from mnas.errors import OutOfMemoryError, SettingsError, StopError, TrainingError, WorkerLostError
from mnas.executors import Limits, RayExecutor


def double(value: int) -> int:
    return 2 * value


def misbehave(how: str) -> str:
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "diverges":
        raise TrainingError("loss became NaN")
    if how == "hangs":
        time.sleep(600)
    if how == "eats memory":
        bytearray(2 * 10**9)
    return how


def bug() -> None:
    raise ZeroDivisionError


def setting(name: str) -> str | None:
    return os.environ.get(name)


def fill(log: str, needed: float) -> float:
    """Takes so much of a GPU; gives what there was of it."""
    import ray

    share = float(ray.get_runtime_context().get_assigned_resources()["GPU"])
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{share} ")
    if share < needed:
        raise OutOfMemoryError("training ran out of memory: CUDA out of memory. Tried to allocate 20.00 MiB")
    return share


def meet(folder: str, name: str, others: int) -> int:
    """Ends when it was with so many others at the same time."""
    (Path(folder) / name).touch()
    deadline = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) <= others and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(list(Path(folder).iterdir()))


class Holder:
    """Something heavy, which counts how often it is pickled."""

    pickled = 0

    def __init__(self) -> None:
        self.numbers = np.ones(10**6)

    def __getstate__(self) -> dict[str, Any]:
        Holder.pickled += 1
        return self.__dict__

    def sum(self, factor: int) -> float:
        return factor * float(self.numbers.sum())


@pytest.fixture(autouse=True, scope="module")
def _by_value() -> Iterator[None]:
    """Workers do not find the modules of tests."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def ray() -> Iterator[Callable[..., RayExecutor]]:
    """Makes an executor, which is closed in the end."""
    made: list[RayExecutor] = []

    def make(*arguments: Any, **options: Any) -> RayExecutor:
        made.append(RayExecutor(*arguments, **options))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_dies_costs_its_own_job_alone(ray):
    executor = ray(2)
    hows = ["works", "dies", "works too", "diverges", "works again"]
    futures = [executor.submit(misbehave, how, key=number) for number, how in enumerate(hows)]
    assert [futures[place].result(60).value for place in (0, 2, 4)] == ["works", "works too", "works again"]
    with pytest.raises(WorkerLostError, match="WorkerCrashedError"):
        futures[1].result(60)
    with pytest.raises(TrainingError, match="loss became NaN"):
        futures[3].result(60)
    host, _, pid = futures[0].result().worker.rpartition(":")
    assert int(pid) != os.getpid()
    assert executor.is_here
    running = executor.submit(misbehave, "hangs", key=17)
    while not running.running():
        time.sleep(0.01)
    (worker,) = [worker for worker in executor.activity() if worker.trial == 17]
    assert worker.name.startswith(host)
    executor.close()
    with pytest.raises(WorkerLostError, match="closed"):
        running.result(1)
    pid = worker.name.rpartition(":")[2]
    deadline = time.monotonic() + 20
    while _alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(int(pid))
    with pytest.raises(WorkerLostError, match="closed"):
        executor.submit(double, 1).result(1)


@pytest.mark.slow
def test_limits_are_kept_and_workers_have_one_thread_and_no_gpu_that_was_not_asked_for(ray):
    executor = ray(2, Limits(time_s=3, memory_gb=1))
    hung = executor.submit(misbehave, "hangs")
    with pytest.raises(TrainingError, match=r"limits\.memory_gb = 1"):
        executor.submit(misbehave, "eats memory").result(60)
    with pytest.raises(TrainingError, match=r"limits\.time_s = 3"):
        hung.result(60)
    with pytest.raises(ZeroDivisionError):
        executor.submit(bug).result(60)
    for name, value in (("OMP_NUM_THREADS", "1"), ("CUDA_VISIBLE_DEVICES", "")):
        assert executor.submit(setting, name).result(60).value == value


@pytest.mark.slow
def test_what_a_function_holds_is_sent_once(ray):
    executor, holder, before = ray(2), Holder(), Holder.pickled
    futures = [executor.submit(holder.sum, factor) for factor in range(8)]
    assert [future.result(60).value for future in futures] == [1e6 * factor for factor in range(8)]
    assert Holder.pickled == before + 1


@pytest.mark.slow
def test_more_jobs_than_workers_wait_here_and_those_that_run_are_no_more(ray, tmp_path):
    executor = ray(3)
    futures = [executor.submit(meet, str(tmp_path), str(number), 2) for number in range(3)]
    late = executor.submit(double, 2)
    assert [future.result(60).value for future in futures] == [3, 3, 3]
    assert late.result(60).value == 4


@pytest.mark.slow
def test_another_version_on_a_node_stops_the_search(ray, monkeypatch):
    executor = ray(1)
    monkeypatch.setattr(mnas, "__version__", "0.0.1")
    with pytest.raises(StopError, match=rf"mnas 0\.0\.1, and node .* has mnas {mnas.__version__}|0\.0\.1"):
        executor.submit(double, 1).result(60)


@pytest.mark.slow
def test_several_jobs_share_a_gpu_where_each_takes_a_share(ray, tmp_path):
    with RayNodes() as nodes:
        nodes.add(4, num_gpus=1)
        executor = ray(address=nodes.address, gpus=0.5)
        assert executor.workers == 2
        futures = [executor.submit(meet, str(tmp_path), str(number), 1) for number in range(2)]
        assert [future.result(60).value for future in futures] == [2, 2]
        assert executor.submit(setting, "CUDA_VISIBLE_DEVICES").result(60).value == "0"


@pytest.mark.slow
def test_what_does_not_fit_in_its_share_of_a_gpu_gets_one_of_its_own(ray, tmp_path):
    """On a pretended GPU: a job is told its share by Ray, and says what torch says where memory is short."""
    with RayNodes() as nodes:
        nodes.add(4, num_gpus=1)
        executor = ray(address=nodes.address, gpus=0.25)
        shares = {"small": 0.25, "large": 1.0, "too large": 2.0}
        futures = {name: executor.submit(fill, str(tmp_path / name), share) for name, share in shares.items()}
        assert futures["small"].result(60).value == 0.25
        assert futures["large"].result(60).value == 1.0
        with pytest.raises(OutOfMemoryError, match="CUDA out of memory"):
            futures["too large"].result(60)
        tried = {name: (tmp_path / name).read_text().split() for name in shares}
        assert tried == {"small": ["0.25"], "large": ["0.25", "1.0"], "too large": ["0.25", "1.0"]}


@pytest.mark.slow
def test_what_no_node_has_is_refused_before_the_start_unless_it_is_to_come(ray):
    with RayNodes(1) as nodes:
        with pytest.raises(SettingsError, match=r"takes 1 CPU, 2 GPU\. The cluster has .*1 CPU"):
            ray(address=nodes.address, gpus=2)
        with pytest.raises(SettingsError, match="workers should be given"):
            ray(address=nodes.address, cpus=2, wait_for_nodes=True)
        executor = ray(1, address=nodes.address, cpus=2, wait_for_nodes=True)
        assert not executor.is_here
        future = executor.submit(double, 4, key=5)
        deadline = time.monotonic() + 60
        while not executor.activity() and time.monotonic() < deadline:
            time.sleep(0.5)
        (waiting,) = executor.activity()
        assert (waiting.trial, waiting.name) == (5, "waits for a node, 1")
        assert not future.running()
        nodes.add(2)
        assert future.result(60).value == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "at least 1"),
        ({"address": "ray://head:10001"}, "address 'auto'"),
        ({"cpus": -1}, "at least 0"),
        ({"gpus": 1.5}, "whole"),
        ({"cpus": 0}, "take something"),
        ({"resources": {"GPU": 1}}, "see cpus, gpus"),
    ],
)
def test_impossible_settings_are_refused_without_a_ray(options, message):
    with pytest.raises(SettingsError, match=message):
        RayExecutor(**options)


def test_where_no_cluster_runs_it_is_said_how_to_start_one(monkeypatch):
    for address in ("127.0.0.1:1", "head"):
        with pytest.raises(SettingsError, match="ray start --head"):
            RayExecutor(1, address=address)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(SettingsError, match=r"nothing answers at 127\.0\.0\.1:1.*ray start --head"):
        RayExecutor(1, address="auto")


_PARENT = """
from mnas.executors import RayExecutor
import time
executor = RayExecutor(1)
print(executor.submit(abs, -3).result().worker.rpartition(":")[2], flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_a_ray_of_its_own_ends_with_a_killed_search():
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], env={**os.environ, **RAY_ENVIRONMENT}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    raylet = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    assert _alive(raylet)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while (_alive(worker) or _alive(raylet)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(worker)
    assert not _alive(raylet)
