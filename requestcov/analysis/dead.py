"""Which functions and lines did no recorded request run, and how sure is it that none does?

Laws: pure functions, evidence in, frozen results out. "No recorded request ran
it" is a fact of the sample; what it says of all requests is a bound at a stated
confidence, never a verdict of its own. A function is watched from the first day
on which requests ran a version of its file that had it as it is now: what a
deploy has only moved stays watched, what it has changed is watched anew. What
could not be judged is named. Only lines of function bodies are asked about: what
runs at import runs whatever requests do, and says nothing about them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from requestcov._source import Function, Source
from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.statistics import effective_size, novelty, requests_needed, unseen, upper_bound
from requestcov.record import format_lines
from requestcov.storage.results import Outcome


class Verdict(Enum):
    """What the sample allows to say."""

    DEAD = "dead"
    """The bound is as low, and the time watched as long, as was asked for."""
    UNSURE = "unsure"
    """Too few requests, or too few days."""
    UNWATCHED = "unwatched"
    """No request ran any line of the file, so nobody knows since when this text is deployed."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a claim stands on.

    Attributes:
        since: first UTC day on which requests ran a version that has this code; None: not known.
        days: UTC days from then on that have recorded requests.
        requests: recorded since then, those forced by a person apart.
        effective: equally weighted requests that tell as much.
        bound: largest share of all requests that could run it, at the confidence asked for.
    """

    since: datetime | None
    days: int
    requests: int
    effective: float
    bound: float


@dataclass(frozen=True, kw_only=True)
class DeadFunction:
    """A function none of whose body lines a recorded request ran.

    Attributes:
        path, name: where; the name is qualified.
        line, end: of the ``def`` and of the last line of the body.
        size: executable lines of its body.
        watch: by all requests of the selection.
        verdict: see Verdict.
        reason: why it is not surer, in words; None for a dead one.
    """

    path: str
    name: str
    line: int
    end: int
    size: int
    watch: Watch
    verdict: Verdict
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class DeadLines:
    """Lines of a function that requests run, which no recorded request ran.

    Attributes:
        path, name, line: the function.
        lines: compact ranges: ``"14-17,20"``.
        size: how many.
        requests: recorded requests that ran the function.
        effective: equally weighted requests that tell as much.
        bound: largest share of the function's requests that could run one of these lines.
        verdict: DEAD or UNSURE.
    """

    path: str
    name: str
    line: int
    lines: str
    size: int
    requests: int
    effective: float
    bound: float
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """How much of what requests run has been seen.

    Attributes:
        endpoint: ``GET /orders/{id}``; None: all of them together.
        requests: recorded.
        lines: body lines that they ran.
        once, twice: lines that exactly one, exactly two of them ran.
        novelty: chance that the next request runs a line that none has run (Good and Turing); None
            when nothing was recorded.
        unseen: estimate, from below, of lines that requests run and none has run yet (Chao).
    """

    endpoint: str | None
    requests: int
    lines: int
    once: int
    twice: int
    novelty: float | None
    unseen: float


@dataclass(frozen=True, kw_only=True)
class Dead:
    """The answer.

    Attributes:
        confidence: of every bound.
        bound: the share that a dead function's must not exceed.
        min_days: the days that it must have been watched.
        needed: requests without a hit that bring a bound down to ``bound``.
        functions: those that no recorded request ran, by path and line.
        lines: lines not run of functions that were, by path and line.
        overall: of all endpoints together.
        endpoints: by endpoint.
        unread: paths that ran and whose text is not at hand or cannot be parsed.
        live: functions that were run.
    """

    confidence: float
    bound: float
    min_days: int
    needed: int
    functions: tuple[DeadFunction, ...]
    lines: tuple[DeadLines, ...]
    overall: Saturation
    endpoints: tuple[Saturation, ...]
    unread: tuple[str, ...]
    live: int


Holders = Callable[[str, Set[int]], int]
"""Of an endpoint's requests, how many ran at least one of these blocks."""


@dataclass(frozen=True)
class _Traffic:
    """Requests by day, without those that a person forced, who chose by more than chance."""

    outcomes: Sequence[Outcome] = field(repr=False)

    def watch(self, since: datetime | None, confidence: float) -> Watch:
        start = None if since is None else since.replace(hour=0, minute=0, second=0, microsecond=0)
        counted = [o for o in self.outcomes if start is None or o.day >= start]
        effective = effective_size(sum(o.weight for o in counted), sum(o.squares for o in counted))
        return Watch(
            since=start,
            days=len({o.day for o in counted}),
            requests=sum(o.requests for o in counted),
            effective=effective,
            bound=upper_bound(0, effective, confidence),
        )


def dead(
    evidence: Evidence,
    holders: Holders,
    *,
    unwatched: Iterable[Source] = (),
    confidence: float = 0.95,
    bound: float = 0.01,
    min_days: int = 7,
) -> Dead:
    """What no recorded request ran.

    Args:
        evidence: of the selection.
        holders: asks the store; see Holders.
        unwatched: sources in scope of which no request ran a line.
        confidence: of the bounds, between 0 and 1.
        bound: share of requests, more than 0 and less than 1.
        min_days: from 0.
    """
    traffic = _Traffic([o for o in evidence.outcomes if o.sampled_by != "forced"])
    ran = _placed(evidence)
    functions: list[DeadFunction] = []
    lines: list[DeadLines] = []
    unread: list[str] = []
    watches: dict[datetime | None, Watch] = {}
    live = 0

    def watch(since: datetime | None) -> Watch:
        if since not in watches:
            watches[since] = traffic.watch(since, confidence)
        return watches[since]

    for path in sorted(evidence.newest):
        source = evidence.source(path, evidence.newest[path])
        if source is None or source.problem:
            unread.append(path)
            continue
        since = _watched_since(evidence, path)
        executed = frozenset[int]().union(*(placed for _, placed in ran[path]))
        for function in source.functions:
            if not function.body:
                continue
            if function.body.isdisjoint(executed):
                found = watch(min((since[line] for line in function.body if line in since), default=None))
                functions.append(_function(path, function, found, bound, min_days))
                continue
            live += 1
            missed = function.body - executed
            if missed:
                lines.append(_lines(path, function, missed, ran[path], confidence, bound))
    for source in unwatched:
        found = watch(None)
        functions += [
            _function(source.path, function, found, bound, min_days, watched=False)
            for function in source.functions
            if function.body
        ]
    overall, endpoints = _saturation(evidence, ran, holders)
    return Dead(
        confidence=confidence,
        bound=bound,
        min_days=min_days,
        needed=requests_needed(bound, confidence),
        functions=tuple(sorted(functions, key=lambda f: (f.path, f.line))),
        lines=tuple(lines),
        overall=overall,
        endpoints=endpoints,
        unread=tuple(unread),
        live=live,
    )


def _placed(evidence: Evidence) -> Mapping[str, list[tuple[Run, frozenset[int]]]]:
    """By path, each run with the body lines it executed, where they stand now."""
    found: defaultdict[str, list[tuple[Run, frozenset[int]]]] = defaultdict(list)
    for run in evidence.runs:
        found[run.path].append((run, evidence.placed(run)))
    return found


def _watched_since(evidence: Evidence, path: str) -> dict[int, datetime]:
    """Body line of the newest version -> the day on which requests first ran a version that has it."""
    first: dict[str, datetime] = {}
    for run in evidence.runs:
        if run.path == path and run.first is not None:
            first[run.digest] = min(run.first, first.get(run.digest, run.first))
    since: dict[int, datetime] = {}
    for digest, moment in first.items():
        for line in (evidence.placement(path, digest) or {}).values():
            since[line] = min(moment, since.get(line, moment))
    return since


def _function(
    path: str, function: Function, watch: Watch, bound: float, min_days: int, watched: bool = True
) -> DeadFunction:
    reasons = []
    if not watched:
        reasons.append("no request ran any line of the file: since when it is deployed is not known")
    if watch.bound > bound:
        reasons.append(f"{watch.requests:,} requests are too few: up to {watch.bound:.2%} could run it")
    if watch.days < min_days:
        reasons.append(f"watched on {watch.days} of {min_days} days")
    verdict = Verdict.UNWATCHED if not watched else Verdict.UNSURE if reasons else Verdict.DEAD
    return DeadFunction(
        path=path,
        name=function.name,
        line=function.line,
        end=function.end,
        size=len(function.body),
        watch=watch,
        verdict=verdict,
        reason="; ".join(reasons) or None,
    )


def _lines(
    path: str,
    function: Function,
    missed: frozenset[int],
    ran: Iterable[tuple[Run, frozenset[int]]],
    confidence: float,
    bound: float,
) -> DeadLines:
    # Each request runs one block of a version of a file, so these runs are all its requests. The
    # weights within a run are not known apart; their mean stands for each.
    own = [run for run, placed in ran if not placed.isdisjoint(function.body)]
    requests = sum(run.requests for run in own)
    squares = sum(run.weight**2 / run.requests for run in own if run.requests)
    effective = effective_size(sum(run.weight for run in own), squares)
    largest = upper_bound(0, effective, confidence)
    return DeadLines(
        path=path,
        name=function.name,
        line=function.line,
        lines=format_lines(missed),
        size=len(missed),
        requests=requests,
        effective=effective,
        bound=largest,
        verdict=Verdict.DEAD if largest <= bound else Verdict.UNSURE,
    )


def _saturation(
    evidence: Evidence, ran: Mapping[str, list[tuple[Run, frozenset[int]]]], holders: Holders
) -> tuple[Saturation, tuple[Saturation, ...]]:
    total: Counter[tuple[str, int]] = Counter()
    own: defaultdict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    for path, runs in ran.items():
        for run, placed in runs:
            counts = own[run.endpoint]
            for line in placed:
                counts[path, line] += run.requests
    for counts in own.values():
        total.update(counts)
    firsts: defaultdict[str, set[int]] = defaultdict(set)
    alone: defaultdict[str, set[int]] = defaultdict(set)
    for path, runs in ran.items():
        for run, placed in runs:
            if run.requests != 1 or run.block is None:
                continue
            if any(own[run.endpoint][path, line] == 1 for line in placed):
                firsts[run.endpoint].add(run.block)
            if any(total[path, line] == 1 for line in placed):
                alone[run.endpoint].add(run.block)
    endpoints = tuple(
        _of(name, count.requests, own[name], holders(name, firsts[name]) if firsts[name] else 0)
        for name, count in sorted(evidence.counts.items())
    )
    pioneers = sum(holders(name, blocks) for name, blocks in alone.items() if blocks)
    requests = sum(count.requests for count in evidence.counts.values())
    return _of(None, requests, total, pioneers), endpoints


def _of(
    endpoint: str | None, requests: int, counts: Mapping[tuple[str, int], int], pioneers: int
) -> Saturation:
    often = Counter(counts.values())
    return Saturation(
        endpoint=endpoint,
        requests=requests,
        lines=len(counts),
        once=often[1],
        twice=often[2],
        novelty=novelty(pioneers, requests),
        unseen=unseen(often[1], often[2], requests),
    )
