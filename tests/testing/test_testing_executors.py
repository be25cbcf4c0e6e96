"""The suite for executors runs on those that come with mnas."""

from __future__ import annotations

import pytest

from mnas.errors import SettingsError
from mnas.executors import Executor, InProcessExecutor, Limits, ProcessExecutor, RayExecutor, ThreadExecutor
from mnas.testing import ExecutorConformance


class TestInProcessExecutor(ExecutorConformance):
    runs_in_submit, can_lose_workers = True, False

    def make(self, limits: Limits) -> Executor:
        return InProcessExecutor(limits)


class LimitlessThreads(ThreadExecutor):
    """Threads, which can be neither ended nor limited."""

    def __init__(self, workers: int, limits: Limits) -> None:
        super().__init__(workers)
        if limits.time_s or limits.memory_gb:
            raise SettingsError("threads keep no limits")
        self.limits = limits


class TestThreadExecutor(ExecutorConformance):
    can_lose_workers = False

    def make(self, limits: Limits) -> Executor:
        return LimitlessThreads(2, limits)


@pytest.mark.slow
class TestProcessExecutor(ExecutorConformance):
    def make(self, limits: Limits) -> Executor:
        return ProcessExecutor(2, limits)


@pytest.mark.slow
class TestRayExecutor(ExecutorConformance):
    """Each test begins a Ray of its own."""

    def make(self, limits: Limits) -> Executor:
        return RayExecutor(2, limits)
