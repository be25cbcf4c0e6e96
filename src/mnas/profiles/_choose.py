"""What to measure next: what makes predictions of the space's networks surer, per second of measuring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mnas.profiles._model import CostModel
from mnas.profiles._parts import Part

Network = Mapping[Part, int]


def choose(
    model: CostModel,
    layers: Sequence[Network],
    networks: Sequence[Network],
    targets: Sequence[Network],
    seconds: tuple[float, float],
    budgets: tuple[float, float],
) -> tuple[list[int], list[int]]:
    """Indices of the layers and of the networks to measure, in order.

    One after the other, by turns as their budgets are used up: each time the one that most reduces the targets'
    summed variance, given those already chosen. Latencies themselves are not needed for that.

    Args:
        model: what is known so far.
        layers: networks of a single layer, which could be measured.
        networks: whole networks, which could be measured.
        targets: whole networks that stand for the space.
        seconds: that one measurement takes, of a layer and of a network.
        budgets: seconds for layers and for networks.
    """
    candidates = [*layers, *networks]
    covariance = model.uncertainty([*candidates, *targets])
    aims = slice(len(candidates), None)
    spent, chosen = [0.0, 0.0], ([], [])  # type: tuple[list[float], tuple[list[int], list[int]]]
    ranges = (range(len(layers)), range(len(layers), len(candidates)))
    while True:
        open_kinds = [
            kind
            for kind in (0, 1)
            if spent[kind] + seconds[kind] <= budgets[kind] and len(chosen[kind]) < len(ranges[kind])
        ]
        if not open_kinds:
            return chosen
        kind = min(open_kinds, key=lambda kind: spent[kind] / budgets[kind])
        noise = model.noise(alone=kind == 0)
        gains = (covariance[aims] ** 2).sum(axis=0) / (np.diag(covariance) + noise)
        left = [index for index in ranges[kind] if index - ranges[kind].start not in chosen[kind]]
        best = max(left, key=lambda index: gains[index])
        column = covariance[:, best].copy()
        covariance -= np.outer(column, column) / (column[best] + noise)
        chosen[kind].append(best - ranges[kind].start)
        spent[kind] += seconds[kind]
