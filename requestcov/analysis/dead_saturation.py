"""How much more would further requests show?

Laws: lines of function bodies are counted by the recorded requests that ran them, where they stand
in the current code; weights do not enter, so the answer is about the next recorded request.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set

from requestcov.analysis.dead_results import Saturation
from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.history import Spot
from requestcov.analysis.statistics import novelty, unseen

Holders = Callable[[str, Set[int]], int]
"""Of an endpoint's requests, how many ran at least one of these blocks."""


def saturation(
    evidence: Evidence, placed: Sequence[tuple[Run, frozenset[Spot]]], holders: Holders
) -> tuple[Saturation, tuple[Saturation, ...]]:
    """Of all the requests together, and by endpoint.

    Args:
        placed: each run of the evidence, with where its lines stand in the current code.
        holders: asks the store; see Holders.
    """
    own: defaultdict[str, defaultdict[Spot, int]] = defaultdict(lambda: defaultdict(int))
    for run, spots in placed:
        counts, requests = own[run.endpoint], run.requests
        for spot in spots:
            counts[spot] += requests
    total: defaultdict[Spot, int] = defaultdict(int)
    for counts in own.values():
        for spot, requests in counts.items():
            total[spot] += requests
    # A request that alone ran a line ran a block that no other ran.
    firsts: defaultdict[str, set[int]] = defaultdict(set)
    alone: defaultdict[str, set[int]] = defaultdict(set)
    for run, spots in placed:
        if run.requests == 1 and run.block is not None:
            if any(own[run.endpoint][spot] == 1 for spot in spots):
                firsts[run.endpoint].add(run.block)
            if any(total[spot] == 1 for spot in spots):
                alone[run.endpoint].add(run.block)
    each = [
        _of(name, counts.requests, own[name], holders(name, firsts[name]) if firsts[name] else 0)
        for name, counts in sorted(evidence.counts.items())
    ]
    pioneers = sum(holders(name, blocks) for name, blocks in alone.items())
    requests = sum(counts.requests for counts in evidence.counts.values())
    return _of(None, requests, total, pioneers), tuple(each)


def _of(endpoint: str | None, requests: int, counts: Mapping[Spot, int], pioneers: int) -> Saturation:
    often = Counter(counts.values())
    return Saturation(
        endpoint=endpoint,
        requests=requests,
        lines=len(counts),
        once=often[1],
        twice=often[2],
        pioneers=pioneers,
        novelty=novelty(pioneers, requests),
        unseen=unseen(often[1], often[2], requests),
    )
