"""What a proposal may bring, from predicted means and standard deviations: expected gains of reward and of front."""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.special import ndtr

from mnas.controllers.guided._arrays import Floats
from mnas.objective import Objective
from mnas.pareto import front_indices

# Nodes and weights of Gauss-Hermite quadrature for a standard normal value.
_ACCURACY_NODES, _ACCURACY_WEIGHTS = hermegauss(7)
_LATENCY_NODES, _LATENCY_WEIGHTS = hermegauss(5)
_WEIGHTS = np.outer(_ACCURACY_WEIGHTS, _LATENCY_WEIGHTS)[..., None] / (2 * math.pi)
_STEP = math.log(2) / 64  # of the latency grid: the soft and hard rewards are exact to 0.002 points between its nodes
_HALF_STEPS = 64 * 10  # the grid reaches from 1/1,024 of the target to 1,024 times the target
_ACCURACIES = np.linspace(0.0, 1.0, 33)


class RewardSurface:
    """An objective's rewards for arrays: its own at a grid of accuracies and latencies, bilinear between.

    The target is a node of the grid, so that a kink there stays one. Accuracies are held within 0 and 1.
    """

    def __init__(self, objective: Objective) -> None:
        self._start = math.log(objective.target_ms) - _HALF_STEPS * _STEP
        latencies = np.exp(self._start + _STEP * np.arange(2 * _HALF_STEPS + 1))
        latencies[_HALF_STEPS] = objective.target_ms
        self._grid = np.array([[objective.score(float(a), float(t)) for t in latencies] for a in _ACCURACIES])

    def __call__(self, accuracy: Floats, latency_ms: Floats) -> Floats:
        """Rewards of arrays that broadcast with each other."""
        row, right = _place(np.clip(accuracy, 0.0, 1.0) * (len(_ACCURACIES) - 1), len(_ACCURACIES))
        logs = np.log(np.maximum(latency_ms, 1e-300))
        column, up = _place((logs - self._start) / _STEP, self._grid.shape[1])
        low = self._grid[row, column] * (1 - up) + self._grid[row, column + 1] * up
        high = self._grid[row + 1, column] * (1 - up) + self._grid[row + 1, column + 1] * up
        return np.asarray(low * (1 - right) + high * right)


def _place(position: Floats, nodes: int) -> tuple[NDArray[np.intp], Floats]:
    position = np.clip(position, 0.0, nodes - 1.0)
    below = np.minimum(position.astype(np.intp), nodes - 2)
    return below, position - below


def reward_moments(
    surface: RewardSurface, accuracy: tuple[Floats, Floats], latency_ms: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the reward, given those of accuracy and latency: Gauss-Hermite quadrature."""
    accuracies = accuracy[0] + _ACCURACY_NODES[:, None] * accuracy[1]
    # In the logarithm, so that no node is below zero.
    latencies = latency_ms[0] * np.exp(_LATENCY_NODES[:, None] * latency_ms[1] / latency_ms[0])
    rewards = surface(accuracies[:, None], latencies[None])
    mean = (_WEIGHTS * rewards).sum(axis=(0, 1))
    variance = (_WEIGHTS * np.square(rewards - mean)).sum(axis=(0, 1))
    return mean, np.sqrt(variance)


def expected_gain(mean: Floats, sd: Floats, best: float | Floats) -> Floats:
    """E[max(value - best, 0)] of normal values (expected improvement, Jones et al. 1998)."""
    scaled = (mean - best) / sd
    density = np.exp(-0.5 * np.square(scaled)) / math.sqrt(2 * math.pi)
    return np.asarray(sd * np.maximum(scaled * ndtr(scaled) + density, 0.0))


def expected_hypervolume_gain(
    accuracy: tuple[Floats, Floats],
    latency_ms: tuple[Floats, Floats],
    front: list[tuple[float, float]],
    reference: tuple[float, float],
) -> Floats:
    """By how much each network is expected to raise the front's hypervolume, in ms x fraction.

    Exact for normal, independent accuracy and latency: between two neighbours of the front, the expected overlap in
    latency times the expected accuracy above the left one (Emmerich et al. 2011, for two objectives).

    Args:
        accuracy: means and standard deviations, each (networks,).
        latency_ms: the same.
        front: points (latency, accuracy); others among them are not looked at.
        reference: the worst latency and accuracy that count.
    """
    worst_ms, worst_accuracy = reference
    inside = [point for point in front if point[0] < worst_ms and point[1] > worst_accuracy]
    stairs = [inside[index] for index in front_indices(inside)]
    ends = np.array([*(latency for latency, _ in stairs), worst_ms])
    covered = np.array([worst_accuracy, *(accuracy for _, accuracy in stairs)])
    # E[max(end - latency, 0)], whose differences are the expected lengths within each step of the stairs.
    reach = expected_gain(-latency_ms[0][:, None], latency_ms[1][:, None], -ends)
    lengths = np.diff(reach, axis=1, prepend=0.0)
    return np.asarray((lengths * expected_gain(accuracy[0][:, None], accuracy[1][:, None], covered)).sum(axis=1))
