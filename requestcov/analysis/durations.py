"""Percentiles and medians of how long many requests took.

Laws: exact, whatever the order; a request counts as often as it stands for where
weights are given, and once where they are not.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain

FEW = 500
"""Sorted lists in which a median is searched; more of them are merged, for then they are short."""


def percentile(durations: Sequence[float], weights: Sequence[float], share: float) -> float | None:
    """The smallest duration that at least this share of the weight does not exceed; None of nothing.

    Args:
        durations: in any order.
        weights: of the same requests.
        share: 0 to 1.
    """
    if not durations:
        return None
    # What is left of sums of weights is never quite 0: a billionth of a request is none.
    if weights.count(weights[0]) == len(weights):
        at = math.ceil(share * len(durations) - 1e-9)
        return sorted(durations)[max(at, 1) - 1]
    ordered = sorted(zip(durations, weights, strict=True))
    left = share * math.fsum(weights)
    for duration, weight in ordered:
        left -= weight
        if left <= 1e-9 * weight:
            return duration
    return ordered[-1][0]


def median(lists: Sequence[Sequence[int]]) -> float | None:
    """The median of all numbers of some ascending lists; None of nothing."""
    size = sum(map(len, lists))
    if not size:
        return None
    if len(lists) > FEW:
        together = sorted(chain.from_iterable(lists))
        return (together[(size - 1) // 2] + together[size // 2]) / 2
    return (_smallest(lists, (size - 1) // 2) + _smallest(lists, size // 2)) / 2


def _smallest(lists: Sequence[Sequence[int]], above: int) -> int:
    """The smallest number that more than so many numbers do not exceed, by bisection of the values."""
    some = [numbers for numbers in lists if numbers]
    low, high = min(numbers[0] for numbers in some), max(numbers[-1] for numbers in some)
    while low < high:
        middle = (low + high) // 2
        if sum(bisect_right(numbers, middle) for numbers in some) > above:
            high = middle
        else:
            low = middle + 1
    return low
