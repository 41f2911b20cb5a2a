"""What do slow requests of an endpoint run that fast ones do not?

Laws: as for suspects; requests that failed are left apart, for they end early.
The difference in time beside a line is between requests that ran it and those
that did not: it goes with the line, and need not be spent in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from requestcov.analysis.contrast import Groups, contrast
from requestcov.analysis.durations import median, percentile
from requestcov.analysis.evidence import Timings
from requestcov.analysis.ranking import Suspect, ranked, too_few
from requestcov.storage.results import Timed

PERCENTILE = 0.95
SHOWN = 50
"""Ties whose times are compared, unless fewer are asked for."""


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


def slow(
    timings: Timings, threshold_ms: float | None = None, formula: str = "ochiai", most: int = SHOWN
) -> Slow:
    """Rank what the slow requests of an endpoint ran.

    Args:
        timings: the endpoint's requests.
        threshold_ms: None: the 95th percentile of those that did not fail.
        formula: a key of ``ranking.FORMULAS``.
        most: ties at most.
    """
    sound = [some for some in timings.timed if not some.failed]
    limit = threshold_ms
    if limit is None:
        found = percentile([(some.weight, some.durations) for some in sound], PERCENTILE)
        limit = None if found is None else found / 1000
    durations = _by_spectrum(sound)
    apart = sum(len(some.durations) for some in timings.timed if some.failed)
    compared = contrast(timings, _divided(durations, limit, apart))
    few = too_few(compared, "slow", "fast")
    ties: Sequence[Suspect] = () if few else ranked(compared.ties, compared, formula)[:most]
    return Slow(
        endpoint=timings.endpoint,
        threshold_ms=limit,
        is_percentile=threshold_ms is None,
        slow=compared.failing,
        fast=compared.healthy,
        apart=compared.apart,
        formula=formula,
        parts=tuple(_timed(tie, timings, durations) for tie in ties),
        ranked=sum(tie.size for tie in compared.ties),
        left_out=compared.left_out,
        too_few=few,
    )


def _by_spectrum(timed: Iterable[Timed]) -> dict[int, list[int]]:
    """Spectrum -> durations, ascending."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for some in timed:
        found[some.spectrum] += some.durations
    for durations in found.values():
        durations.sort()
    return dict(found)


def _divided(durations: Mapping[int, Sequence[int]], limit: float | None, apart: int) -> Groups:
    slow, fast = Counter[int](), Counter[int]()
    for spectrum, ordered in durations.items() if limit is not None else ():
        within = bisect_right(ordered, limit, key=lambda micros: micros / 1000)
        fast[spectrum], slow[spectrum] = within, len(ordered) - within
    return Groups(+slow, +fast, apart)


def _timed(suspect: Suspect, timings: Timings, durations: Mapping[int, list[int]]) -> SlowPart:
    # A tie's parts need not be run by the same requests; the first stands for it.
    blocks = suspect.parts[0].blocks
    ran: list[list[int]] = []
    did_not: list[list[int]] = []
    for spectrum, ordered in durations.items():
        (did_not if timings.paths[spectrum].isdisjoint(blocks) else ran).append(ordered)
    return SlowPart(suspect=suspect, median_with=_ms(median(ran)), median_without=_ms(median(did_not)))


def _ms(micros: float | None) -> float | None:
    return None if micros is None else micros / 1000
