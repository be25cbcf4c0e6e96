"""The API against its own description: whatever is asked, it answers as it says."""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from mnas.board import create_app

HOST = "testserver"  # that schemathesis asks by


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode)
def test_it_answers_as_it_is_described(mixed_run, tmp_path, mode):
    """No failure of the server's own; each answer's status, type and shape are in the description.

    Asked are a run that is there and one that is not, with values that are allowed and with others.
    """
    app = create_app([mixed_run, tmp_path / "nothing"], hosts=[HOST])
    operations = [found.ok() for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations()]
    assert len(operations) == 10
    statuses: Counter[int] = Counter()
    for operation in operations:

        @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            statuses[case.call_and_validate().status_code] += 1

        if mode is GenerationMode.POSITIVE or operation.path != "/api/runs":  # which has nothing to get wrong
            check()
    assert statuses.total() > 100
    assert set(statuses) >= ({200, 404, 409} if mode is GenerationMode.POSITIVE else {422})
