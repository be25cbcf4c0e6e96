"""TrialColumns: a run's trials as columns, filled from stored values, row by row, as they come in.

Architectures stay text: parsing ten thousand of them takes seconds, and no column needs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from mnas.result import Tally
from mnas.trial import TrialState
from mnas.views._running_front import RunningFront

# The latency of a network (by id) on the run's device, as stored values, where it was measured again.
Again = Callable[[str], Mapping[str, Any] | None]


@dataclass
class TrialColumns:
    """Columns of equal length, in the order stored; and what is kept up beside them.

    `device` is the run's: a latency of another one takes a trial off the front, as in `SearchResult`.
    """

    device: str
    dropped: Collection[str] = ()  # ids of networks that a measured front dropped
    number: list[int] = field(default_factory=list)
    state: list[str] = field(default_factory=list)
    cached: list[bool] = field(default_factory=list)
    accuracy: list[float | None] = field(default_factory=list)
    latency_ms: list[float | None] = field(default_factory=list)
    low_ms: list[float | None] = field(default_factory=list)
    high_ms: list[float | None] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    params: list[int] = field(default_factory=list)
    madds: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    error: list[str | None] = field(default_factory=list)
    worker: list[str] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)
    architecture_id: list[str] = field(default_factory=list)
    energy_mj: list[float | None] = field(default_factory=list)
    parts_ms: dict[str, list[float | None]] = field(default_factory=dict)
    tokens: list[tuple[int, ...]] = field(default_factory=list)
    is_on_device: list[bool] = field(default_factory=list)
    disturbed: list[str] = field(default_factory=list)  # of each measured latency, why it is; or nothing
    device_notes: dict[str, None] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)  # number to the place in the columns
    first: dict[str, int] = field(default_factory=dict)  # id of a network to its lowest number
    missing: set[int] = field(default_factory=set)  # numbers below the highest that are not stored yet
    highest: int = -1
    has_foreign: bool = False  # latencies of other devices
    front: RunningFront = field(default_factory=RunningFront)
    best: int | None = None
    tally: Tally = field(default_factory=Tally)

    def __len__(self) -> int:
        return len(self.number)

    def add(self, number: int, row: Mapping[str, Any], again: Again) -> None:
        """Take in a stored trial. Nothing is changed if it lacks what a trial has (KeyError, TypeError)."""
        measurement, name = row["measurement"], architecture_id(row["architecture"])
        latency = measurement["latency"]
        is_foreign = latency is not None and latency["device"] != self.device
        if is_foreign:
            latency = again(name) or latency
        values: dict[str, Any] = {
            "number": number,
            "state": TrialState(row["state"]).value,
            "cached": bool(row["cached"]),
            "accuracy": measurement["accuracy"],
            "latency_ms": latency["latency_ms"] if latency else None,
            "low_ms": latency["low_ms"] if latency else None,
            "high_ms": latency["high_ms"] if latency else None,
            "reward": row["reward"],
            "params": measurement["params"],
            "madds": measurement["madds"],
            "epochs": len(row["curve"]),
            "error": row["error"],
            "worker": row.get("worker", ""),
            "started": row["started"],
            "finished": row["finished"],
            "architecture_id": name,
            "energy_mj": _energy(latency),
            "tokens": tuple(row["tokens"]),
            "is_on_device": latency is not None and latency["device"] == self.device,
        }
        parts = _parts(latency)
        for key, value in values.items():
            getattr(self, key).append(value)
        self._add_parts(parts)
        self._note(number, name, bool(row["cached"]), latency)
        self.tally.count(TrialState(row["state"]), bool(row["cached"]), len(row["curve"]))
        self.has_foreign |= is_foreign
        self._consider(len(self) - 1)

    def drop(self, dropped: Collection[str]) -> None:
        """Take these networks, by id, off the front, and no others."""
        self.dropped, self.front, self.best = dropped, RunningFront(), None
        for place in range(len(self)):
            self._consider(place)

    def stands(self, place: int) -> bool:
        """Whether a trial is COMPLETE and takes part in front and best."""
        is_dropped = self.architecture_id[place] in self.dropped
        return self.state[place] == "COMPLETE" and self.is_on_device[place] and not is_dropped

    def _consider(self, place: int) -> None:
        """Let a trial onto the front and into the contest for the best."""
        if not self.stands(place):
            return
        number, latency, accuracy = self.number[place], self.latency_ms[place], self.accuracy[place]
        if not self.cached[place] and latency is not None and accuracy is not None:
            self.front.add(latency, accuracy, number)
        best = self.places.get(self.best) if self.best is not None else None
        if best is None or (self.reward[place], -number) > (self.reward[best], -self.number[best]):
            self.best = number

    def _note(self, number: int, name: str, cached: bool, latency: Mapping[str, Any] | None) -> None:
        self.places[number] = len(self) - 1
        self.first[name] = min(number, self.first.get(name, number))
        self.missing |= set(range(self.highest + 1, number))
        self.missing.discard(number)
        self.highest = max(self.highest, number)
        if latency is None:
            return
        if not cached:
            self.disturbed.append(str(latency["environment"].get("disturbed") or ""))
        if notes := latency["environment"].get("notes"):
            self.device_notes |= dict.fromkeys(map(str, notes))

    def _add_parts(self, parts: Mapping[str, float]) -> None:
        for name in parts:
            self.parts_ms.setdefault(name, [None] * (len(self) - 1))
        for name, column in self.parts_ms.items():
            column.append(parts.get(name))


def architecture_id(text: str) -> str:
    """`Architecture.id` of an architecture as stored, without parsing it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _energy(latency: Mapping[str, Any] | None) -> float | None:
    energy = latency.get("energy") if latency else None
    return energy["millijoules"] if energy else None


def _parts(latency: Mapping[str, Any] | None) -> dict[str, float]:
    devices = latency["environment"].get("devices", {}) if latency else {}
    return {name: part["latency_ms"] for name, part in devices.items()}
