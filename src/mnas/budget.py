"""What a search may spend, what it has spent over all its processes, and what that costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Self

from mnas.errors import SettingsError
from mnas.storage import RunStorage
from mnas.trial import Trial

_LIMITS = {
    "hours": "hours",
    "device_hours": "hours of measuring",
    "accelerator_hours": "hours of training",
    "money": "",
}
_PRICES = ("price_per_hour", "price_per_worker_hour", "price_per_device_hour")
_STORE_SECONDS = 10.0  # between two notes of the time that passed, of which a killed process loses the last


@dataclass(frozen=True)
class Spent:
    """What a search took so far, the final comparison apart."""

    trials: int = 0
    hours: float = 0.0  # wall time
    device_hours: float = 0.0  # of measuring, summed over the devices
    accelerator_hours: float = 0.0  # of training, summed over the workers
    money: float = 0.0


@dataclass(frozen=True)
class Budget:
    """What a search may spend beside its number of trials; None where there is no limit.

    A worker costs as long as the search runs, whether it trains or waits; a device costs while it measures.

        budget = Budget(hours=8, money=40, price_per_worker_hour=0.5)
        budget.cost(hours=2, worker_hours=64, device_hours=0)        # 32.0
        budget.exhausted(Spent(hours=8.1))                           # "its budget of 8 hours is spent"

    Raises:
        SettingsError: a limit or price is out of its range, or money is limited and nothing has a price.
    """

    hours: float | None = None
    device_hours: float | None = None
    accelerator_hours: float | None = None
    money: float | None = None
    price_per_hour: float = 0.0  # of the whole, such as the machine that all runs on
    price_per_worker_hour: float = 0.0
    price_per_device_hour: float = 0.0
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name in _LIMITS:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"budget: {name} should be above 0, got {value!r}")
        for name in _PRICES:
            if not getattr(self, name) >= 0:
                raise SettingsError(f"budget: {name} should be at least 0, got {getattr(self, name)!r}")
        if self.money is not None and not self.has_price:
            raise SettingsError(f"budget: money needs a price, by which it is spent: {', '.join(_PRICES)}")

    @property
    def has_price(self) -> bool:
        """Whether anything costs money."""
        return any(getattr(self, name) > 0 for name in _PRICES)

    @property
    def limits(self) -> dict[str, float | None]:
        """The limits by name."""
        return {name: getattr(self, name) for name in _LIMITS}

    def cost(self, hours: float, worker_hours: float, device_hours: float) -> float:
        """What so much time costs, in the currency."""
        return (
            hours * self.price_per_hour
            + worker_hours * self.price_per_worker_hour
            + device_hours * self.price_per_device_hour
        )

    def exhausted(self, spent: Spent) -> str:
        """Which limit is reached, in words; empty where none is."""
        for name, limit in self.limits.items():
            if limit is not None and getattr(spent, name) >= limit:
                return f"its budget of {limit:g} {_LIMITS[name] or self.currency} is spent"
        return ""


class Ledger:
    """Counts what a search spends, going on from what its earlier processes spent.

    ledger = Ledger(budget, storage, evaluator.trials, workers=32)
    with ledger:
        ...                   # the search: `trials` grows
        ledger.spent()        # Spent(trials=12, hours=0.2, ...)

    Args:
        trials: finished trials by number, in the order in which they were stored; they may grow, and only that.
        workers: that are paid for while the search runs.
    """

    def __init__(self, budget: Budget, storage: RunStorage, trials: dict[int, Trial], workers: int) -> None:
        self.budget = budget
        self._storage = storage
        self._trials = trials
        self._workers = workers
        self._seen = 0  # trials whose times are added up
        self._measured = self._trained = 0.0  # seconds, of those
        self._seconds: float = storage.meta("seconds") or 0.0
        self._worker_seconds: float = storage.meta("worker_seconds") or 0.0
        self._since: float | None = None  # on the monotonic clock, up to which both are added up; None: nothing runs
        self._lock = threading.Lock()  # of these three

    @property
    def seconds(self) -> float:
        """Wall time of the search so far."""
        return self._passed()[0]

    def spent(self) -> Spent:
        """What the search took so far."""
        self._take_in()
        return self.last_spent()

    def last_spent(self) -> Spent:
        """The same without the trials that have finished since `spent` was last asked; for other threads."""
        seconds, worker_seconds = self._passed()
        hours, device_hours = seconds / 3600, self._measured / 3600
        money = self.budget.cost(hours, worker_seconds / 3600, device_hours)
        return Spent(self._seen, hours, device_hours, self._trained / 3600, money)

    def exhausted(self) -> str:
        """Which limit of the budget is reached, in words; empty where none is. Notes the time now and then."""
        if self._running() >= _STORE_SECONDS:
            self._note()
        return self.budget.exhausted(self.spent())

    def __enter__(self) -> Self:
        with self._lock:
            self._since = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._note()  # what was interrupted took its time too
        with self._lock:
            self._since = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Meanwhile no time is counted: the search waits for a person."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def _running(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since

    def _passed(self) -> tuple[float, float]:
        """Seconds of search and of its workers, up to now."""
        with self._lock:
            passed = self._running()
            return self._seconds + passed, self._worker_seconds + self._workers * passed

    def _note(self) -> None:
        seconds, worker_seconds = self._passed()
        with self._lock:
            self._since = time.monotonic()
            self._seconds, self._worker_seconds = seconds, worker_seconds
        self._storage.set_meta("seconds", self._seconds)
        self._storage.set_meta("worker_seconds", self._worker_seconds)

    def _take_in(self) -> None:
        """Add up the times of the trials that are new: they are the last ones, so that it takes no longer later."""
        new = list(islice(reversed(self._trials.values()), len(self._trials) - self._seen))
        self._seen += len(new)
        self._measured += sum(trial.measure_seconds for trial in new)
        self._trained += sum(trial.train_seconds for trial in new)
