"""Could it be chance that no later request ran a line which earlier ones did?

Laws: exact where the requests of an endpoint were sampled alike, and where they were not an upper
bound: what was sampled more is thinned to what was sampled least, so that nothing is called silent
for having been looked at more closely before. Of many lines tested, as many by chance as are told.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.significance import adjusted
from requestcov.analysis.statistics import chance_of_none, chance_of_none_thinned, upper_bound, worst_size
from requestcov.storage.results import Outcome


@dataclass(frozen=True)
class _Sample:
    """The recorded requests of one endpoint in one release.

    Attributes:
        requests: recorded.
        least: equally weighted ones that the least sampled of them stand for: Σw / largest w.
        largest: the largest weight; of requests that ended alike, their mean by weight (Σw² / Σw).
        alike: whether all have one weight.
    """

    requests: int
    least: float
    largest: float
    alike: bool


@dataclass(frozen=True)
class Chance:
    """How likely a line's silence is by chance.

    Attributes:
        probability: 0 to 1.
        exact: whether it is exact, not an upper bound.
        ran: recorded requests of the earlier release that ran the line.
        before, after: recorded requests of their endpoints in the two releases.
        bound: of the later ones at most this share could have run it unseen; None of none.
    """

    probability: float
    exact: bool
    ran: int
    before: int
    after: int
    bound: float | None


class Silence:
    """What to expect of the later release's requests, by those of the earlier one."""

    def __init__(self, before: Evidence, after: Evidence) -> None:
        """Count how the requests of each endpoint were sampled in the two releases."""
        self._before, self._after = _samples(before), _samples(after)
        self._groups = _by_endpoint(after.outcomes)
        self._known: dict[frozenset[int], Chance] = {}

    def chance(self, numbers: frozenset[int], runs: Mapping[int, Run]) -> Chance:
        """Of a line that these runs of the earlier release executed, and none of the later one.

        Args:
            numbers: of the runs; a line of the same ones has the same answer.
            runs: those of the earlier release, by number.
        """
        if numbers not in self._known:
            hits: defaultdict[str, list[Run]] = defaultdict(list)
            for number in sorted(numbers):
                hits[runs[number].endpoint].append(runs[number])
            self._known[numbers] = self._chance(hits)
        return self._known[numbers]

    def _chance(self, hits: Mapping[str, list[Run]]) -> Chance:
        alike: list[tuple[int, int, int]] = []
        thinned: list[tuple[list[tuple[int, float]], float, float]] = []
        for endpoint, runs in hits.items():
            before, after = self._before[endpoint], self._after.get(endpoint, _NOBODY)
            if before.alike and after.alike:
                alike.append((sum(run.requests for run in runs), before.requests, after.requests))
            else:
                kept = [(run.requests, run.weight / run.requests / before.largest) for run in runs]
                thinned.append((kept, before.least, after.least))
        chance = chance_of_none(alike) * chance_of_none_thinned(thinned)
        requests = sum(self._after[name].requests for name in hits if name in self._after)
        groups = [group for name in hits for group in self._groups.get(name, ())]
        effective = min(float(requests), worst_size(groups)) if groups else float(requests)
        return Chance(
            probability=min(1.0, chance),
            exact=not thinned,
            ran=sum(run.requests for runs in hits.values() for run in runs),
            before=sum(self._before[name].requests for name in hits),
            after=requests,
            bound=upper_bound(0, effective) if requests else None,
        )


class Family:
    """All lines that are tested, those that still run included; lines of the same requests are one test."""

    def __init__(self) -> None:
        """None yet."""
        self._chances: dict[tuple[frozenset[int], frozenset[int]], float] = {}

    def add(self, before: frozenset[int], after: frozenset[int], probability: float = 1.0) -> None:
        """A line that these runs of the two releases executed.

        Args:
            before, after: numbers of runs.
            probability: of the silence; 1 of a line that still runs, which its own chance can only
                be below, so that the correction is rather too large than too small.
        """
        self._chances[before, after] = probability

    def adjusted(self) -> Mapping[frozenset[int], float]:
        """Of silent lines, by the earlier runs that executed them: the chance, corrected."""
        corrected = zip(self._chances, adjusted(list(self._chances.values())), strict=True)
        return {before: chance for (before, after), chance in corrected if not after}


def _by_endpoint(outcomes: Iterable[Outcome]) -> Mapping[str, list[tuple[float, float]]]:
    """Endpoint -> (sum of weights, sum of their squares) of those that ended alike."""
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.endpoint].append((outcome.weight, outcome.squares))
    return found


def _samples(evidence: Evidence) -> dict[str, _Sample]:
    groups = _by_endpoint(evidence.outcomes)
    found = {}
    for endpoint, counts in evidence.counts.items():
        # Evidence that does not tell weights apart has one.
        own = groups.get(endpoint) or [(counts.weight, counts.weight**2 / counts.requests)]
        weight, squares = sum(w for w, _ in own), sum(s for _, s in own)
        largest = max(s / w for w, s in own if w > 0)
        alike = math.isclose(weight * weight, squares * counts.requests, rel_tol=1e-9)
        found[endpoint] = _Sample(counts.requests, weight / largest, largest, alike)
    return found


_NOBODY = _Sample(0, 0.0, 1.0, alike=True)
