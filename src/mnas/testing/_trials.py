"""Finished trials without hardware or training."""

from __future__ import annotations

from mnas.accuracy import SimulatedAccuracy
from mnas.devices import SimulatedDevice
from mnas.objective import Measurement, Objective, WeightedProduct
from mnas.space import SearchSpace, Tokens, count_madds, count_params, weight_bytes
from mnas.trial import Trial, TrialState


def simulated_trial(
    space: SearchSpace,
    number: int,
    tokens: Tokens,
    state: TrialState = TrialState.COMPLETE,
    cached: bool = False,
    objective: Objective | None = None,
) -> Trial:
    """The trial that the simulated device and accuracy give; FAILED has no latency, INFEASIBLE no accuracy.

    The objective is the paper's soft one with a target of 20 ms unless another is given.
    """
    objective = objective or WeightedProduct.soft(target_ms=20)
    architecture = space.decode(tokens)
    measured, trained = state is not TrialState.FAILED, state in (TrialState.COMPLETE, TrialState.STOPPED)
    measurement = Measurement(
        params=count_params(architecture),
        madds=count_madds(architecture),
        weight_bytes=weight_bytes(architecture),
        latency=SimulatedDevice().measure(architecture) if measured else None,
        accuracy=SimulatedAccuracy().estimate(architecture, seed=0).accuracy if trained else None,
        task=SimulatedAccuracy().task if trained else None,
    )
    return Trial(
        number=number,
        tokens=tokens,
        architecture=architecture,
        state=state,
        reward=objective.reward(measurement) if trained else objective.failure_reward(measurement),
        measurement=measurement,
        cached=cached,
        error=None if trained else f"{state} for a test",
    )
