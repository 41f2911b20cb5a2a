"""On which days was a function as it is now, and what would their requests have shown?

Laws: a day counts for a function only if no version of its file without it ran on that day, nor
between two days on which such a one ran; days before it first ran as it is do not count. Of a
deploy in the middle of a day it is not known which requests met which version.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from datetime import datetime

from requestcov.analysis.dead_results import Watch
from requestcov.analysis.evidence import Evidence
from requestcov.analysis.statistics import effective_size, upper_bound, worst_size
from requestcov.storage.results import Outcome

FORCED = "forced"
"""Sampled because a person asked for it: chosen by more than chance."""


class Days:
    """The days with requests, and which version of which file ran on which."""

    def __init__(self, evidence: Evidence, confidence: float) -> None:
        """Sort the evidence by day.

        Args:
            confidence: of bounds, between 0 and 1.
        """
        self._confidence = confidence
        self._outcomes: defaultdict[datetime, list[Outcome]] = defaultdict(list)
        for outcome in evidence.outcomes:
            if outcome.sampled_by != FORCED:
                self._outcomes[outcome.day].append(outcome)
        self.all = frozenset(self._outcomes)
        self._spans = evidence.spans
        self._versions: defaultdict[str, set[str]] = defaultdict(set)
        for path, digest in self._spans:
            self._versions[path].add(digest)
        self._of: dict[tuple[str, frozenset[str]], frozenset[datetime]] = {}
        self._watches: dict[frozenset[datetime], Watch] = {}

    def of(self, held: Mapping[str, Set[str]]) -> frozenset[datetime]:
        """The days of a function, given the versions that hold it, as digests by path."""
        return frozenset[datetime]().union(*(self._path(path, frozenset(d)) for path, d in held.items()))

    def changed(self, path: str, digests: Set[str]) -> bool:
        """Whether another version of the file ran no later than the first of these."""
        first = min((self._spans[path, d][0] for d in digests if (path, d) in self._spans), default=None)
        others = [self._spans[path, d][0] for d in self._versions[path] - digests]
        return bool(others) and (first is None or min(others) <= first)

    def watch(self, days: frozenset[datetime]) -> Watch:
        """What the requests of these days would have shown."""
        if days not in self._watches:
            outcomes = [outcome for day in days for outcome in self._outcomes[day]]
            self._watches[days] = watch_of(outcomes, self._confidence)
        return self._watches[days]

    def _path(self, path: str, digests: frozenset[str]) -> frozenset[datetime]:
        key = path, digests
        if key not in self._of:
            starts = [self._spans[path, d][0] for d in digests if (path, d) in self._spans]
            others = [self._spans[path, d] for d in self._versions[path] - digests]
            self._of[key] = frozenset(
                day
                for day in self.all
                if starts and min(starts) <= day and not any(a <= day <= b for a, b in others)
            )
        return self._of[key]


def watch_of(outcomes: Sequence[Outcome], confidence: float) -> Watch:
    """What these requests would have shown; those that ended alike are taken as sampled alike."""
    requests = sum(outcome.requests for outcome in outcomes)
    weight = sum(outcome.weight for outcome in outcomes)
    days = {outcome.day for outcome in outcomes if outcome.requests}
    # Rounding in sums of weights must not make a sample larger than it is.
    effective = min(float(requests), worst_size((outcome.weight, outcome.squares) for outcome in outcomes))
    return Watch(
        since=min(days, default=None),
        until=max(days, default=None),
        days=len(days),
        requests=requests,
        weight=weight,
        effective=effective,
        kish=effective_size(weight, sum(outcome.squares for outcome in outcomes)),
        bound=upper_bound(0, effective, confidence),
    )
