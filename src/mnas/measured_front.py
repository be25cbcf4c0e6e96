"""The front of a search on predicted latencies, measured on the device itself.

What breaks a hard limit there, or does not run, is dropped, and what it kept off the front is measured in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mnas.devices import Device
from mnas.errors import DeviceError, MeasurementError
from mnas.evaluator import Evaluator
from mnas.objective import Caps
from mnas.result import MeasuredFront, SearchResult
from mnas.storage import RunStorage
from mnas.trial import Trial


def measure_front(
    result: SearchResult,
    device: Device,
    caps: Caps,
    evaluator: Evaluator,
    storage: RunStorage,
    watch: Callable[[str], None],
) -> Evaluator:
    """Measure the front and store it; an evaluator whose latencies are the device's. What is stored stays.

    Raises:
        DeviceError: the device stayed away. All trials are stored, and a resumed run tries again.
    """
    try:
        measuring = replace(evaluator, device=device)
        front = _measured(result, caps, measuring, watch)
    except DeviceError as error:
        raise DeviceError(
            f"{error}. The search itself is done and stored, its latencies are predicted. When the device is there, "
            f"measure the front with: mnas resume {result.folder}"
        ) from error
    storage.set_meta(
        "measured_front", {"device": front.device, "networks": list(front.latencies), "dropped": dict(front.dropped)}
    )
    return measuring


def load_measured_front(storage: RunStorage) -> MeasuredFront | None:
    """The measured front as stored; None where latencies were measured from the beginning, or not yet."""
    stored = storage.meta("measured_front")
    if stored is None:
        return None
    latencies = {name: storage.latency(name, stored["device"]) for name in stored["networks"]}
    known = {name: latency for name, latency in latencies.items() if latency is not None}
    return MeasuredFront(stored["device"], known, stored["dropped"])


def _measured(result: SearchResult, caps: Caps, evaluator: Evaluator, watch: Callable[[str], None]) -> MeasuredFront:
    front = MeasuredFront(evaluator.device.info().fingerprint, {}, {})
    tried: set[str] = set()
    while fresh := [t for t in replace(result, measured=front).front if t.architecture.id not in tried]:
        for index, trial in enumerate(fresh, start=1):
            watch(f"measuring the front, {index} of {len(fresh)}")
            tried.add(trial.architecture.id)
            front = _with(front, trial, caps, evaluator)
    return front


def _with(front: MeasuredFront, trial: Trial, caps: Caps, evaluator: Evaluator) -> MeasuredFront:
    name = trial.architecture.id
    try:
        latency = evaluator.measure(trial.architecture)
    except MeasurementError as error:
        return replace(front, dropped={**front.dropped, name: f"it cannot be measured: {error}"})
    front = replace(front, latencies={**front.latencies, name: latency})
    broken = caps.violations(replace(trial.measurement, latency=latency))
    if not broken:
        return front
    reason = f"measured, its {'; '.join(broken)} (predicted {trial.latency_ms:.4g} ms)"
    return replace(front, dropped={**front.dropped, name: reason})
