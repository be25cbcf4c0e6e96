"""CostModel: what networks and single layers teach of costs."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from mnas.devices import SimulatedDevice
from mnas.profiles import CostModel, Observation, choose, layer_alone, layer_shapes, network_parts
from mnas.space import Architecture, Layer

DEVICE = SimulatedDevice()


def members(space, count, seed):
    generator = random.Random(seed)
    return [space.decode(space.sample(generator)) for _ in range(count)]


def observed(networks, factor=lambda index: 1.0, alone=False):
    return [
        Observation(network_parts(n, alone), DEVICE.measure(n).latency_ms * factor(i), alone, seconds=2.0 * i)
        for i, n in enumerate(networks)
    ]


def mean_error(model, networks, factor=1.0):
    measured = np.array([DEVICE.measure(n).latency_ms * factor for n in networks])
    return float(np.abs(model.predict([network_parts(n) for n in networks]) / measured - 1).mean())


def test_costs_that_add_up_are_learnt_from_whole_networks(space):
    model = CostModel(observed(members(space, 60, seed=0)))
    assert mean_error(model, members(space, 50, seed=1)) < 0.02


def test_single_layers_teach_what_few_networks_leave_open(space):
    networks = members(space, 8, seed=0)
    shapes = {s for n in members(space, 60, seed=2) for s in layer_shapes(n) if isinstance(s.row, Layer)}
    layers = [layer_alone(shape, networks[0]) for shape in sorted(shapes, key=str)]
    both = CostModel([*observed(networks), *observed(layers, alone=True)])
    unseen = members(space, 50, seed=1)
    assert mean_error(both, unseen) < 0.6 * mean_error(CostModel(observed(networks)), unseen)


def test_a_device_that_drifts_spoils_less_when_the_times_are_known(space):
    """A swing of 8 % over minutes, with a gauge every fifth measurement."""
    networks = members(space, 40, seed=0)
    mixed = [networks[0] if index % 5 == 0 else network for index, network in enumerate(networks)]
    made = observed(mixed, factor=lambda index: math.exp(0.08 * math.sin(index / 6)))
    unseen = members(space, 80, seed=1)
    timeless = [replace(one, seconds=1e4 * index) for index, one in enumerate(made)]
    assert mean_error(CostModel(made), unseen) < 0.8 * mean_error(CostModel(timeless), unseen)


def test_another_devices_model_makes_few_measurements_go_further(space):
    """Six measurements of a device that is 2.5 times slower."""
    source = CostModel(observed(members(space, 80, seed=0)))
    few = observed(members(space, 6, seed=3), factor=lambda _: 2.5)
    unseen = members(space, 60, seed=1)
    assert mean_error(CostModel(few, like=source), unseen, 2.5) < 0.5 * mean_error(CostModel(few), unseen, 2.5)


def test_uncertainty_is_less_where_something_was_measured(space):
    seen, unseen = members(space, 30, seed=0), members(space, 30, seed=1)
    model = CostModel(observed(seen))
    variances = [np.diag(model.uncertainty([network_parts(n) for n in some])).mean() for some in (seen, unseen)]
    assert 0 < variances[0] < variances[1]


def test_what_is_chosen_keeps_to_its_budget_and_is_not_measured_twice(space):
    networks = members(space, 30, seed=0)
    model = CostModel(observed(networks[:10]))
    made_of = [network_parts(n) for n in networks]
    layers, whole = choose(model, made_of[10:20], made_of[20:], made_of[:5], (1.0, 2.0), (4.0, 8.0))
    assert len(layers) == len(set(layers)) == 4
    assert len(whole) == len(set(whole)) == 4


def test_what_teaches_more_is_chosen_first(space):
    """Of a network that is known already and one of layers that nobody saw, the latter."""
    first = Architecture.parse("input_r64_c3 stem_c32 cn_r2_k3_s2_c24 head_c64_n10")
    other = Architecture.parse("input_r64_c3 stem_c32 ir_r2_k5_s2_e6_c24 head_c64_n10")
    model = CostModel([*observed([first] * 6), *observed(members(space, 4, seed=0))])
    made_of = [network_parts(first), network_parts(other)]
    assert choose(model, [], made_of, made_of, (1.0, 1.0), (1.0, 1.0))[1] == [1]


@pytest.mark.parametrize("alone", [False, True])
def test_a_measurement_more_of_the_same_network_brings_the_prediction_to_it(space, alone):
    network = members(space, 1, seed=7)[0]
    made_of = network_parts(network, alone)
    others = observed(members(space, 20, seed=0))
    target = 1.3 * float(CostModel(others).predict([made_of])[0])
    more = [[Observation(made_of, target, alone)] * times for times in (1, 8)]
    gaps = [abs(float(CostModel([*others, *some]).predict([made_of])[0]) - target) for some in more]
    assert gaps[1] < gaps[0] < 0.3 * target
