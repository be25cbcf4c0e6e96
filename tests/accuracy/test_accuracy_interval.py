"""The binomial interval is Wilson's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.accuracy import binomial_interval
from mnas.errors import SettingsError


@given(images=st.integers(1, 50_000), share=st.floats(0, 1))
def test_it_is_scipys(images, share):
    stats = pytest.importorskip("scipy.stats")
    right = round(share * images)
    expected = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert binomial_interval(right / images, images) == pytest.approx((expected.low, expected.high), abs=1e-6)


@given(images=st.integers(1, 50_000), accuracy=st.floats(0, 1))
def test_it_holds_the_accuracy_and_stays_a_fraction(images, accuracy):
    low, high = binomial_interval(accuracy, images)
    assert 0 <= low <= accuracy + 1e-9
    assert accuracy - 1e-9 <= high <= 1
    assert low < high


@pytest.mark.parametrize(("accuracy", "images"), [(0.5, 0), (-0.1, 10), (1.1, 10), (float("nan"), 10)])
def test_what_has_no_interval_is_refused(accuracy, images):
    with pytest.raises(SettingsError):
        binomial_interval(accuracy, images)
