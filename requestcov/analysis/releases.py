"""What did a release begin to run, and what went silent with it?

Laws: pure functions, frozen results. Functions are matched by their code (analysis/history), so
what only moved is neither new nor silent; what was edited or removed is told apart from what is
still there and no longer runs. Silence counts as significant only against the traffic of the
endpoints that used to run the thing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from requestcov._source import Function, Source
from requestcov.analysis.evidence import Counts, Evidence, Run, Version
from requestcov.analysis.history import History, Spot
from requestcov.analysis.releases_silence import Chance, Family, Silence
from requestcov.analysis.statistics import CONFIDENCE
from requestcov.record import format_lines


class Change(Enum):
    """How the code of a function came to run, or to run no more."""

    SAME = "same"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True)
class Silent:
    """What the earlier release's requests ran and the later one's did not.

    Attributes:
        path, name, line: the function; where it stands in the later release, or stood.
        lines: those gone silent, as ranges ``7-9,12``.
        whole: whether the function ran no more at all.
        change: ``same``: the same code is there, or the later release did not run the file at all and
            so does not tell; ``gone``: it was edited or removed.
        endpoints: those that ran it in the earlier release.
        ran: how many of the earlier release's recorded requests did: of the line of these whose silence
            is least likely by chance, as all that follows.
        before, after: recorded requests of the line's endpoints in the two releases.
        bound: of the later ones at most this share could have run it unseen (95 %); None of none.
        probability: that so many requests miss it by chance, running it as often as before.
        exact: whether the probability is exact; else the requests were sampled unlike, and it is an
            upper bound.
        adjusted: the probability, corrected for how many lines were tested; None of changed code.
        significant: whether the code is the same and the corrected probability is at most 5 %.
    """

    path: str
    name: str
    line: int
    lines: str
    whole: bool
    change: Change
    endpoints: tuple[str, ...]
    ran: int
    before: int
    after: int
    bound: float | None
    probability: float
    exact: bool
    adjusted: float | None
    significant: bool


@dataclass(frozen=True)
class Begun:
    """What the later release's requests ran and the earlier one's did not.

    Attributes:
        path, name, line, lines, whole: as of Silent, in the later release.
        change: ``same``: the code was there before; ``new``: it was written or edited.
        endpoints: those that run it.
        ran, after: how many of the later release's recorded requests ran it, and those of its endpoints.
    """

    path: str
    name: str
    line: int
    lines: str
    whole: bool
    change: Change
    endpoints: tuple[str, ...]
    ran: int
    after: int


@dataclass(frozen=True)
class EndpointTraffic:
    """The recorded requests of an endpoint in the two releases, and what they stand for."""

    endpoint: str
    before: int
    after: int
    weight_before: float
    weight_after: float


@dataclass(frozen=True)
class Releases:
    """The answer: ``begun`` and ``silent`` by path and line, ``traffic`` by endpoint."""

    earlier: str
    later: str
    begun: tuple[Begun, ...]
    silent: tuple[Silent, ...]
    traffic: tuple[EndpointTraffic, ...]
    unread: tuple[str, ...]


_Function = tuple[str, Function]
"""A function, with the path of its file."""

_Ran = Mapping[Spot, frozenset[int]]
"""Line -> numbers of the runs that executed it, in the order of the evidence."""


def releases(earlier: str, later: str, before: Evidence, after: Evidence) -> Releases:
    """Compare two releases.

    Args:
        earlier, later: their names.
        before, after: what is recorded of each.
    """
    sources = {
        name: {
            path: source
            for path, digest in evidence.newest.items()
            if (source := evidence.source(path, digest)) is not None and not source.problem
        }
        for name, evidence in (("before", before), ("after", after))
    }
    everything = (*before.texts, *after.texts)
    # Of a file that the later release did not run, the text may be the earlier one's as well.
    spans = _spans(before, after)
    now = History(sources["after"], everything, spans)
    ran_now, ran_before = _ran(after, now), _ran(before, now)
    begun = []
    for path, source in sorted(sources["after"].items()):
        for function in source.functions:
            news = {n for n in function.body if (path, n) in ran_now and (path, n) not in ran_before}
            if not news:
                continue
            old = any(past.digest in before.versions.get(past.path, ()) for past in now.past(path, function))
            who = _who(path, news, ran_now, after.runs)
            begun.append(
                Begun(
                    *_name(path, function, news),
                    whole=not any((path, n) in ran_before for n in function.body),
                    change=Change.SAME if old else Change.NEW,
                    endpoints=tuple(sorted(who)),
                    ran=sum(who.values()),
                    after=_requests(who, after.counts),
                )
            )
    silence, family = Silence(before, after), Family()
    code, gone = _functions(sources["after"]), _gone(sources["before"], now)
    # Most often a release leaves nearly all code as it was.
    ran_then = _ran(before, History(sources["before"], everything, spans)) if gone else {}
    silent = [
        *_silent(code, ran_before, ran_now, before, after, silence),
        *_silent(gone, ran_then, None, before, after, silence),
    ]
    runs = dict(enumerate(before.runs))
    for numbers, still in _tested(ran_before, ran_now, gone, ran_then, after):
        family.add(numbers, still, 1.0 if still else silence.chance(numbers, runs).probability)
    judged = _corrected(silent, family.adjusted())
    names = sorted({*before.counts, *after.counts}, key=lambda name: (name.partition(" ")[2], name))
    none = Counts(0, 0.0, 0)
    return Releases(
        earlier=earlier,
        later=later,
        begun=tuple(begun),
        silent=tuple(sorted(judged, key=lambda item: (item.path, item.line, item.change.value))),
        traffic=tuple(
            EndpointTraffic(name, a.requests, b.requests, a.weight, b.weight)
            for name in names
            for a, b in [(before.counts.get(name, none), after.counts.get(name, none))]
        ),
        unread=tuple(
            sorted(
                {p for p in before.newest if p not in sources["before"]}
                | {p for p in after.newest if p not in sources["after"]}
            )
        ),
    )


def _silent(
    code: Iterable[_Function],
    ran: _Ran,
    ran_now: _Ran | None,
    before: Evidence,
    after: Evidence,
    silence: Silence,
) -> Iterator[tuple[Silent, frozenset[int]]]:
    """Of code of the later release; without what that ran, of earlier code that is not among it.

    With each the runs of the line that its chance is of.
    """
    runs = dict(enumerate(before.runs))
    still = ran_now or {}
    for path, function in code:
        lines = {n for n in function.body if (path, n) in ran and (path, n) not in still}
        if not lines:
            continue
        there = ran_now is not None or path not in after.newest
        sets = sorted({ran[path, n] for n in lines}, key=sorted)
        told = min(sets, key=lambda numbers: _order(silence.chance(numbers, runs)))
        chance = silence.chance(told, runs)
        silent = Silent(
            *_name(path, function, lines),
            whole=not any((path, n) in still for n in function.body),
            change=Change.SAME if there else Change.GONE,
            endpoints=tuple(sorted({runs[n].endpoint for numbers in sets for n in numbers})),
            ran=chance.ran,
            before=chance.before,
            after=chance.after,
            bound=chance.bound,
            probability=chance.probability,
            exact=chance.exact,
            adjusted=None,
            significant=False,
        )
        yield silent, told


def _order(chance: Chance) -> tuple[float, int]:
    """The least likely silence first, then what most requests ran."""
    return chance.probability, -chance.ran


def _functions(sources: Mapping[str, Source]) -> list[_Function]:
    return [(path, function) for path, source in sources.items() for function in source.functions]


def _gone(sources: Mapping[str, Source], now: History) -> list[_Function]:
    """The functions of the earlier release that are not in the later one."""
    carried = {
        (past.path, past.digest, past.function.line)
        for path, function in _functions(now.current)
        for past in now.past(path, function)
    }
    return [
        (path, function)
        for path, function in _functions(sources)
        if (path, sources[path].digest, function.line) not in carried
    ]


def _spans(before: Evidence, after: Evidence) -> Mapping[Version, tuple[datetime, datetime]]:
    """First and last day of each version in either release."""
    found = dict(before.spans)
    for version, (first, last) in after.spans.items():
        start, end = found.get(version, (first, last))
        found[version] = min(first, start), max(last, end)
    return found


def _tested(
    ran: _Ran, still: _Ran, gone: Iterable[_Function], ran_then: _Ran, after: Evidence
) -> Iterator[tuple[frozenset[int], frozenset[int]]]:
    """Of every line that the earlier release ran and whose code is there: the runs of both releases.

    The lines of the later code, and those of files that the later release did not run at all.
    """
    for spot, numbers in ran.items():
        yield numbers, still.get(spot, frozenset())
    for path, function in gone:
        if path not in after.newest:
            yield from ((ran_then[path, n], frozenset()) for n in function.body if (path, n) in ran_then)


def _corrected(
    silent: Iterable[tuple[Silent, frozenset[int]]], tested: Mapping[frozenset[int], float]
) -> Iterator[Silent]:
    """With the chance corrected for how many lines were tested; of what was edited nothing is."""
    for item, numbers in silent:
        if item.change is Change.SAME:
            chance = tested[numbers]
            yield replace(item, adjusted=chance, significant=chance <= 1 - CONFIDENCE)
        else:
            yield item


def _ran(evidence: Evidence, history: History) -> dict[Spot, frozenset[int]]:
    found: defaultdict[Spot, list[int]] = defaultdict(list)
    for number, run in enumerate(evidence.runs):
        for spot in history.placed(run.path, run.digest, run.lines):
            found[spot].append(number)
    # Lines of the same runs are many, and share one set, which is hashed once.
    sets = {numbers: frozenset(numbers) for numbers in set(map(tuple, found.values()))}
    return {spot: sets[tuple(numbers)] for spot, numbers in found.items()}


def _who(path: str, lines: Iterable[int], ran: _Ran, runs: Sequence[Run]) -> dict[str, int]:
    """Endpoint -> its requests that ran the line of these that most of them ran."""
    who: dict[str, int] = {}
    for numbers in {ran[path, line] for line in lines}:
        counts = Counter[str]()
        for number in numbers:
            counts[runs[number].endpoint] += runs[number].requests
        for endpoint, requests in counts.items():
            who[endpoint] = max(who.get(endpoint, 0), requests)
    return who


def _requests(endpoints: Iterable[str], counts: Mapping[str, Counts]) -> int:
    return sum(counts[name].requests for name in endpoints if name in counts)


def _name(path: str, function: Function, lines: Iterable[int]) -> tuple[str, str, int, str]:
    return path, function.name, function.line, format_lines(frozenset(lines))
