"""The API against its own description: whatever is asked, it answers as it says."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from mnas.board import create_app

pytestmark = pytest.mark.slow
HOST = "testserver"  # that schemathesis asks by


@pytest.fixture
def described(mixed_run, tmp_path):
    """One run that is there, one that is not."""
    app = create_app([mixed_run, tmp_path / "nothing"], hosts=[HOST])
    return schemathesis.openapi.from_asgi("/openapi.json", app)


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_answers_as_it_is_described(case):
    """No failure of the server's own; each answer's status, type and shape are in the description."""
    case.call_and_validate()
