"""What do slow requests of an endpoint run that fast ones do not?

Laws: as for suspects; requests that failed are left apart, for they end early.
The difference in time beside a line is between requests that ran it and those
that did not: it goes with the line, and need not be spent in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from requestcov.analysis.contrast import contrast, divide
from requestcov.analysis.evidence import Traffic
from requestcov.analysis.ranking import Suspect, ranked, too_few
from requestcov.storage.results import Sample

PERCENTILE = 0.95
SHOWN = 50
"""Ties whose times are compared; each is a pass over the endpoint's requests."""


@dataclass(frozen=True, kw_only=True)
class SlowPart:
    """A tie of lines and branches that slow requests run.

    Attributes:
        suspect: its places, counts and scores; "failing" are the slow ones.
        median_with, median_without: duration in ms of requests that ran it, and of those that did
            not; None where there are none.
    """

    suspect: Suspect
    median_with: float | None
    median_without: float | None

    @property
    def difference(self) -> float | None:
        """In ms; None where one of the two is."""
        if self.median_with is None or self.median_without is None:
            return None
        return self.median_with - self.median_without


@dataclass(frozen=True, kw_only=True)
class Slow:
    """The answer.

    Attributes:
        endpoint: ``GET /orders/{id}``.
        threshold_ms: requests above it are slow.
        is_percentile: whether that is the endpoint's own 95th percentile (by weight).
        slow, fast: requests of each kind.
        apart: requests that failed.
        formula: by which parts are ranked.
        parts: at most SHOWN.
        ranked: lines and branches that were ranked.
        left_out: recorded lines of versions in which the function was another one.
        too_few: why nothing is ranked, or None.
    """

    endpoint: str
    threshold_ms: float | None
    is_percentile: bool
    slow: int
    fast: int
    apart: int
    formula: str
    parts: tuple[SlowPart, ...]
    ranked: int
    left_out: int
    too_few: str | None


def percentile(durations: Iterable[tuple[float, float]], share: float) -> float | None:
    """The smallest duration that at least this share of the weight does not exceed; None of nothing.

    Args:
        durations: (ms, weight).
        share: 0 to 1.
    """
    ordered = sorted(durations)
    left = share * sum(weight for _, weight in ordered)
    for duration, weight in ordered:
        left -= weight
        # What is left of sums of weights is never quite 0.
        if left <= 1e-9 * weight:
            return duration
    return ordered[-1][0] if ordered else None


def slow(traffic: Traffic, threshold_ms: float | None = None, formula: str = "ochiai") -> Slow:
    """Rank what the slow requests of an endpoint ran.

    Args:
        traffic: the endpoint's requests.
        threshold_ms: None: the 95th percentile of those that did not fail.
        formula: a key of ``ranking.FORMULAS``.
    """
    sound = [sample for sample in traffic.samples if not sample.failed]
    limit = threshold_ms
    if limit is None:
        limit = percentile(((sample.duration_ms, sample.weight) for sample in sound), PERCENTILE)

    def decide(sample: Sample) -> bool | None:
        return None if sample.failed or limit is None else sample.duration_ms > limit

    found = contrast(traffic, divide(traffic.samples, decide))
    few = too_few(found, "slow", "fast")
    ties: Sequence[Suspect] = () if few else ranked(found.ties, found, formula)[:SHOWN]
    durations: defaultdict[int, list[float]] = defaultdict(list)
    for sample in sound:
        durations[sample.spectrum].append(sample.duration_ms)
    return Slow(
        endpoint=traffic.endpoint,
        threshold_ms=limit,
        is_percentile=threshold_ms is None,
        slow=found.failing,
        fast=found.healthy,
        apart=found.apart,
        formula=formula,
        parts=tuple(_timed(tie, traffic, durations) for tie in ties),
        ranked=sum(tie.size for tie in found.ties),
        left_out=found.left_out,
        too_few=few,
    )


def _timed(suspect: Suspect, traffic: Traffic, durations: Mapping[int, list[float]]) -> SlowPart:
    # A tie's parts need not be run by the same requests; the first stands for it.
    blocks = suspect.parts[0].blocks
    ran: list[float] = []
    did_not: list[float] = []
    for spectrum, times in durations.items():
        (did_not if traffic.paths[spectrum].isdisjoint(blocks) else ran).extend(times)
    return SlowPart(
        suspect=suspect,
        median_with=median(ran) if ran else None,
        median_without=median(did_not) if did_not else None,
    )
