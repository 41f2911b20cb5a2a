"""Percentiles and medians of how long many requests took.

Laws: exact, whatever the order; a request counts as often as it stands for where
weights are given, and once where they are not.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate

SHORT = 30
"""Lists shorter than this in the mean are merged; in longer ones a number is searched for."""

Weighed = tuple[float, Sequence[int]]
"""How many requests each stands for, and how long each took, ascending."""


def percentile(groups: Sequence[Weighed], share: float) -> int | None:
    """The smallest duration that at least this share of the weight does not exceed; None of nothing.

    Args:
        groups: the requests, those of one weight together or not.
        share: 0 to 1.
    """
    weights = {weight for weight, durations in groups if durations}
    if not weights:
        return None
    if len(weights) == 1:
        # Whatever it is, they count alike, and whole numbers add up without rounding.
        weights = {1.0}
        groups = [(1.0, durations) for _, durations in groups]
    whole = math.fsum(weight * len(durations) for weight, durations in groups)
    # Sums of weights are rounded: a billionth of a request is none.
    return _smallest(_long(groups), share * whole - 1e-9 * min(weights))


def median(lists: Sequence[Sequence[int]]) -> float | None:
    """The median of all numbers of some ascending lists; None of nothing."""
    size = sum(map(len, lists))
    if not size:
        return None
    groups = _long([(1.0, numbers) for numbers in lists])
    return (_smallest(groups, (size - 1) // 2 + 1) + _smallest(groups, size // 2 + 1)) / 2


def _long(groups: Sequence[Weighed]) -> Sequence[Weighed]:
    """The same, those of one weight together if they are short."""
    if not _short(groups):
        return groups
    merged: defaultdict[float, list[int]] = defaultdict(list)
    for weight, durations in groups:
        merged[weight] += durations
    return [(weight, sorted(durations)) for weight, durations in merged.items()]


def _smallest(groups: Sequence[Weighed], wanted: float) -> int:
    """The smallest duration for which those up to it weigh so much; else the longest."""
    if _short(groups):
        ordered = sorted((duration, weight) for weight, durations in groups for duration in durations)
        sums = accumulate(weight for _, weight in ordered)
        return next((ordered[at][0] for at, reached in enumerate(sums) if reached >= wanted), ordered[-1][0])
    return _searched([group for group in groups if group[1]], wanted)


def _short(groups: Sequence[Weighed]) -> bool:
    return sum(len(durations) for _, durations in groups) < SHORT * len(groups)


def _searched(groups: Sequence[Weighed], wanted: float) -> int:
    """The same by bisection of the values, none of the lists empty."""
    low, high = min(durations[0] for _, durations in groups), max(durations[-1] for _, durations in groups)
    while low < high:
        middle = (low + high) // 2
        if math.fsum(weight * bisect_right(durations, middle) for weight, durations in groups) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low
