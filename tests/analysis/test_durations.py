"""Percentiles and medians against their definitions and the standard library."""

from __future__ import annotations

import statistics
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requestcov.analysis import durations
from requestcov.analysis.durations import median, percentile

DURATIONS = st.integers(0, 10**7)
HOW = pytest.mark.parametrize("short", [0, durations.SHORT], ids=["searched", "merged"])


def grouped(requests):
    """Those of one weight together."""
    found = defaultdict(list)
    for duration, weight in requests:
        found[weight].append(duration)
    return [(weight, sorted(some)) for weight, some in found.items()]


@HOW
@given(
    st.lists(st.tuples(DURATIONS, st.sampled_from([0.5, 1.0, 1 / 3, 7.0]) | st.floats(0.5, 100)), min_size=1),
    st.floats(0.01, 1),
    st.booleans(),
)
def test_a_percentile_has_its_share_of_the_weight_below_it(short, requests, share, equal):
    if equal:
        requests = [(duration, requests[0][1]) for duration, _ in requests]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durations, "SHORT", short)
        found = percentile(grouped(requests), share)
        assert found == percentile([(weight, [duration]) for duration, weight in requests], share)
    total = sum(weight for _, weight in requests)
    below = sum(weight for duration, weight in requests if duration <= found)
    less = sum(weight for duration, weight in requests if duration < found)
    assert below >= share * total * (1 - 1e-6)
    assert less <= share * total * (1 + 1e-6)


@HOW
def test_a_percentile_by_hand(short, monkeypatch):
    """Of 20 equal ones the 19th has 95 % at or below it; a heavy one counts as often as it weighs."""
    monkeypatch.setattr(durations, "SHORT", short)
    assert percentile([(3.0, range(1, 21))], 0.95) == 19
    assert percentile([(1 / 3, range(1, 11)), (1 / 3, range(11, 21))], 0.95) == 19
    assert percentile([(1.0, [1, 2]), (98.0, [3])], 0.02) == 2
    assert percentile([(1.0, [1, 2]), (98.0, [3])], 0.021) == 3


def test_a_percentile_and_a_median_of_nothing_are_none():
    assert percentile([], 0.95) is None
    assert percentile([(1.0, [])], 0.95) is None
    assert median([]) is None
    assert median([[], []]) is None


@HOW
@given(st.lists(st.lists(DURATIONS, max_size=6).map(sorted), min_size=1, max_size=8))
def test_the_median_of_lists_is_that_of_their_numbers(short, lists):
    numbers = [number for one in lists for number in one]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durations, "SHORT", short)
        assert median(lists) == (statistics.median(numbers) if numbers else None)
