"""Before the start: which latencies can this space reach on this device, and is the target among them?

A search towards an unreachable target would spend its whole budget and return its nearest miss.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from mnas.errors import MeasurementError, SettingsError
from mnas.judging import counted
from mnas.objective import Caps, Latency, Measurement
from mnas.space import Architecture, SearchSpace, Tokens, count_madds

SAMPLES = 14


@dataclass(frozen=True)
class Reach:
    """Latencies of random members and of the two extremes of MAdds, in ms, rising."""

    latencies_ms: tuple[float, ...]

    @property
    def low_ms(self) -> float:
        """The fastest that was seen."""
        return self.latencies_ms[0]

    @property
    def high_ms(self) -> float:
        """The slowest that was seen."""
        return self.latencies_ms[-1]

    @property
    def median_ms(self) -> float:
        """The target of a search that names none."""
        return median(self.latencies_ms)


def survey(
    space: SearchSpace,
    measure: Callable[[Architecture], Latency],
    caps: Caps,
    seed: int,
    watch: Callable[[str], None] = lambda phase: None,
) -> Reach:
    """Measure the smallest, the largest and some random members of the space.

    Raises:
        SettingsError: no member could be measured, or none of them satisfies the caps.
    """
    generator = random.Random(seed)
    tokens = [_extreme(space, min), *(space.sample(generator) for _ in range(SAMPLES)), _extreme(space, max)]
    measurements: list[Measurement] = []
    failures = []
    for index, candidate in enumerate(map(space.decode, tokens), start=1):
        watch(f"measuring what the space can reach, {index} of {len(tokens)}")
        try:
            measurements.append(replace(counted(candidate), latency=measure(candidate)))
        except MeasurementError as error:
            failures.append(str(error))
    if not measurements:
        raise SettingsError(f"no network of space {space.name!r} could be measured: {failures[0]}")
    _check_caps(measurements, caps)
    return Reach(tuple(sorted(m.latency.latency_ms for m in measurements if m.latency)))


def check_target(target_ms: float, reach: Reach) -> None:
    """Refuse a target that no network of the space comes near.

    Raises:
        SettingsError: with the range that can be reached.
    """
    if not reach.low_ms <= target_ms <= reach.high_ms:
        raise SettingsError(
            f"target_ms {target_ms:.4g} is out of reach: networks of this space take "
            f"{reach.low_ms:.4g} to {reach.high_ms:.4g} ms on this device. "
            "Name a target in that range, or change the space's width or resolution"
        )


def _check_caps(measurements: list[Measurement], caps: Caps) -> None:
    violations = [caps.violations(measurement) for measurement in measurements]
    if all(violations):
        raise SettingsError(
            f"none of {len(measurements)} networks of the space, its smallest among them, is within the caps: "
            + "; ".join(violations[0])
        )


def _extreme(space: SearchSpace, pick: Callable[..., Tokens]) -> Tokens:
    """The member of least or most MAdds, by settling one choice after the other."""
    tokens: Tokens = tuple(0 for _ in space.choices)
    for position, choice in enumerate(space.choices):
        variants = [(*tokens[:position], token, *tokens[position + 1 :]) for token in range(len(choice.options))]
        tokens = pick(variants, key=lambda variant: count_madds(space.decode(variant)))
    return tokens
