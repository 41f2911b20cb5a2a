"""Percentiles and medians against their definitions and the standard library."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requestcov.analysis import durations
from requestcov.analysis.durations import median, percentile

WEIGHTS = st.floats(0.5, 100)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), WEIGHTS), min_size=1, max_size=40),
    st.floats(0.01, 1),
    st.booleans(),
)
def test_a_percentile_has_its_share_of_the_weight_below_it(requests, share, equal):
    if equal:
        requests = [(duration, requests[0][1]) for duration, _ in requests]
    found = percentile([duration for duration, _ in requests], [weight for _, weight in requests], share)
    total = sum(weight for _, weight in requests)
    below = sum(weight for duration, weight in requests if duration <= found)
    less = sum(weight for duration, weight in requests if duration < found)
    assert below >= share * total * (1 - 1e-6)
    assert less <= share * total * (1 + 1e-6)


def test_a_percentile_by_hand():
    """Of 20 equal ones the 19th has 95 % at or below it; a heavy one counts as often as it weighs."""
    assert percentile(range(1, 21), [3.0] * 20, 0.95) == 19
    assert percentile([1, 2, 3], [1.0, 1.0, 98.0], 0.02) == 2
    assert percentile([3, 2, 1], [98.0, 1.0, 1.0], 0.021) == 3


def test_a_percentile_and_a_median_of_nothing_are_none():
    assert percentile([], [], 0.95) is None
    assert median([]) is None
    assert median([[], []]) is None


@pytest.mark.parametrize("few", [0, durations.FEW])
@given(st.lists(st.lists(st.integers(0, 10**7), max_size=6).map(sorted), min_size=1, max_size=8))
def test_the_median_of_lists_is_that_of_their_numbers(few, lists):
    """Searched or merged."""
    numbers = [number for one in lists for number in one]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durations, "FEW", few)
        assert median(lists) == (statistics.median(numbers) if numbers else None)
