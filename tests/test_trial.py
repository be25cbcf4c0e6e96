from __future__ import annotations

import dataclasses
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.objective import Latency, Measurement
from mnas.space import mnasnet_space
from mnas.trial import Trial, TrialState

SPACE = mnasnet_space()
finite = st.floats(allow_nan=False, allow_infinity=False)
latencies = st.builds(
    Latency,
    latency_ms=finite,
    low_ms=finite,
    high_ms=finite,
    statistic=st.text(),
    device=st.text(),
    samples_ms=st.lists(finite, max_size=3).map(tuple),
    environment=st.dictionaries(st.text(), st.one_of(st.text(), finite, st.booleans(), st.none()), max_size=2),
)
measurements = st.builds(
    Measurement,
    params=st.integers(0, 10**9),
    madds=st.integers(0, 10**12),
    weight_bytes=st.integers(0, 10**9),
    latency=st.none() | latencies,
    accuracy=st.none() | st.floats(0, 1),
    task=st.none() | st.text(),
)


def tokens_and_architecture(seed: int) -> dict[str, object]:
    tokens = SPACE.sample(random.Random(seed))
    return {"tokens": tokens, "architecture": SPACE.decode(tokens)}


trials = st.builds(
    lambda seed, **fields: Trial(**tokens_and_architecture(seed), **fields),  # type: ignore[arg-type]
    seed=st.integers(0, 50),
    number=st.integers(0, 10**6),
    state=st.sampled_from(TrialState),
    reward=finite,
    measurement=measurements,
    cached=st.booleans(),
    curve=st.lists(st.none() | st.floats(0, 1), max_size=4).map(tuple),
    error=st.none() | st.text(),
    started=finite,
    finished=finite,
)


def stored(trial: Trial) -> Trial:
    return Trial.from_dict(json.loads(json.dumps(trial.to_dict(), allow_nan=False)))


@settings(deadline=None)
@given(trials)
def test_a_trial_survives_json(trial: Trial) -> None:
    again = stored(trial)
    assert again == trial
    assert again.architecture.id == trial.architecture.id
    assert type(again.state) is TrialState
    assert again.latency_ms == trial.latency_ms
    assert again.accuracy == trial.accuracy


@pytest.fixture
def trial() -> Trial:
    return Trial(
        3, **tokens_and_architecture(0), state=TrialState.FAILED, reward=0.0, measurement=Measurement(1, 2, 3)
    )  # type: ignore[arg-type]


def test_a_curve_holds_null_where_training_diverged(trial: Trial) -> None:
    diverged = dataclasses.replace(trial, curve=(0.5, math.nan, math.inf))
    assert stored(diverged).curve == (0.5, None, None)


def test_a_trial_is_frozen(trial: Trial) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        trial.reward = 1.0  # type: ignore[misc]


def test_states_read_as_their_names() -> None:
    assert [str(state) for state in TrialState] == ["COMPLETE", "STOPPED", "INFEASIBLE", "FAILED"]
