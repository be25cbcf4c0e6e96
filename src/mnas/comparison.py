"""The comparison at the end where accuracies are predicted: does the search dominate well-known networks?

References are the members of the space that are nearest to published networks. They and what dominates them are
measured afresh and together, so that what drifts over minutes meets all of them alike; and nothing is claimed that
the second model does not predict too, for a search exploits the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mnas import devices
from mnas.accuracy import SurrogateAccuracy
from mnas.devices import Device
from mnas.errors import MeasurementError
from mnas.evaluator import Evaluator
from mnas.models import reference_architecture
from mnas.objective import Latency
from mnas.result import Comparison, Rated, SearchResult
from mnas.space import Architecture, BlockSpace, nearest_member
from mnas.storage import RunStorage
from mnas.trial import TrialState

_PROCESSES = 5  # fresh ones for each network
_FASTER = 0.93  # of a reference's latency: measured afresh, intervals reach some 3 % to either side


@dataclass(frozen=True)
class _Candidate:
    """A network with its predictions, and the latency that the search knows."""

    label: str
    architecture: Architecture
    latency: Latency
    accuracy: float
    accuracy_sd: float
    second_accuracy: float
    is_far: bool  # from the data of the predictions

    def is_as_accurate_as(self, other: _Candidate) -> bool:
        return self.accuracy >= other.accuracy and self.second_accuracy >= other.second_accuracy

    def is_faster_than(self, other: _Candidate) -> bool:
        return self.latency.latency_ms < _FASTER * other.latency.latency_ms


def compare_with_references(
    result: SearchResult,
    names: Sequence[str],
    evaluator: Evaluator,
    surrogate: SurrogateAccuracy,
    storage: RunStorage,
    watch: Callable[[str], None],
) -> None:
    """Find what dominates each reference, measure all of them together, and store it. What is stored stays.

    A reference that cannot be measured on this device is left out.

    Raises:
        SettingsError: an unknown reference.
        DeviceError: the device stayed away.
    """
    space = evaluator.space
    if not isinstance(space, BlockSpace):
        return
    watch("comparing with references")
    references = _candidates(
        [_member(name, space) for name in names], lambda network: _measured(network, evaluator, watch), surrogate
    )
    trials = [t for t in result.trials if t.state is TrialState.COMPLETE and not t.cached]
    if result.measured:
        trials = [t for t in trials if t.architecture.id not in result.measured.dropped]
    measured = {t.architecture.id: t.measurement.latency for t in trials}
    found = _candidates([(f"trial {t.number}", t.architecture) for t in trials], lambda a: measured[a.id], surrogate)
    # What lies far from the data is not claimed: there the predictions are guesses.
    found = [candidate for candidate in found if not candidate.is_far]
    rows = [(reference, _fastest(found, reference), _best(found, reference)) for reference in references]
    taking_part = {c.architecture.id: c for row in rows for c in row if c is not None}
    key = [evaluator.device.info().fingerprint, *sorted(taking_part)]
    if (storage.meta("comparisons") or {}).get("key") == key:
        return
    watch(f"measuring {len(taking_part)} networks of the comparison in {_PROCESSES} fresh processes each")
    networks = [candidate.architecture for candidate in taking_part.values()]
    latencies = dict(zip(taking_part, measure_together(evaluator.device, networks), strict=True))
    stored = [[_row(candidate, latencies) for candidate in row] for row in rows]
    storage.set_meta("comparisons", {"key": key, "rows": stored})


def load_comparisons(storage: RunStorage) -> tuple[Comparison, ...]:
    """The comparison as stored."""
    stored = storage.meta("comparisons") or {}
    found = []
    for reference, faster, better in stored.get("rows", ()):
        rated = _rated(reference)
        assert rated is not None
        found.append(Comparison(rated, _rated(faster), _rated(better)))
    return tuple(found)


def measure_together(device: Device, networks: Sequence[Architecture]) -> list[Latency]:
    """Latencies to be compared with each other, as well as the device can."""
    return devices.measure_together(device, networks, _PROCESSES)


def _member(name: str, space: BlockSpace) -> tuple[str, Architecture]:
    reference = reference_architecture(name)
    member = space.decode(nearest_member(space, reference))
    return (name if member == reference else f"nearest to {name}"), member


def _measured(network: Architecture, evaluator: Evaluator, watch: Callable[[str], None]) -> Latency | None:
    try:
        return evaluator.measure(network)
    except MeasurementError as error:  # no reason to lose the report of the search
        watch(f"a reference is left out, it cannot be measured: {error}")
        return None


def _candidates(
    networks: Sequence[tuple[str, Architecture]],
    latency: Callable[[Architecture], Latency | None],
    surrogate: SurrogateAccuracy,
) -> list[_Candidate]:
    if not networks:
        return []
    architectures = [architecture for _, architecture in networks]
    first, second = surrogate.opinions
    said, (seconds, _) = first.examine(architectures), second.predict(architectures)
    return [
        _Candidate(label, network, known, said.mean[i] / 100, said.sd[i] / 100, float(seconds[i]), bool(said.far[i]))
        for i, (label, network) in enumerate(networks)
        if (known := latency(network)) is not None
    ]


def _fastest(found: Sequence[_Candidate], reference: _Candidate) -> _Candidate | None:
    able = [candidate for candidate in found if candidate.is_as_accurate_as(reference)]
    return min(able, key=lambda candidate: candidate.latency.latency_ms, default=None)


def _best(found: Sequence[_Candidate], reference: _Candidate) -> _Candidate | None:
    able = [c for c in found if c.is_faster_than(reference) and c.is_as_accurate_as(reference)]
    return max(able, key=lambda candidate: candidate.accuracy, default=None)


def _row(candidate: _Candidate | None, latencies: Mapping[str, Latency]) -> dict[str, Any] | None:
    if candidate is None:
        return None
    latency = latencies[candidate.architecture.id]
    return {
        "label": candidate.label,
        "architecture": str(candidate.architecture),
        "latency": asdict(latency),
        "accuracy": candidate.accuracy,
        "accuracy_sd": candidate.accuracy_sd,
        "second_accuracy": candidate.second_accuracy,
    }


def _rated(row: Mapping[str, Any] | None) -> Rated | None:
    if row is None:
        return None
    architecture, latency = Architecture.parse(row["architecture"]), Latency.from_dict(row["latency"])
    return Rated(**{**row, "architecture": architecture, "latency": latency})
