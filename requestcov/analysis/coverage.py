"""How much of the functions that requests reach do requests run?

Laws: pure functions, evidence and sources in, frozen results out. Only lines
in function bodies count, above and below the fraction line, and only branches
that leave those lines: what runs at import runs whether or not a request came.
Every version of a file counts for what it still says: lines and branches of an
older version are carried over to the newest one for functions whose name and
body are unchanged, and for no others; a release is judged by its own newest.

The fraction is executed / executable lines of the functions reached, so more
requests never lower the lines executed nor the coverage of a function or a
file; an endpoint's coverage does fall when it reaches a further function that
it runs only in part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from requestcov._source import Source, carried_branches
from requestcov.analysis.coverage_results import (
    EndpointCoverage,
    FileCoverage,
    FunctionCoverage,
    FunctionUnion,
    ReleaseCoverage,
    Union,
)
from requestcov.analysis.evidence import Counts, Evidence, Run, Version, counted
from requestcov.record import Arc


@dataclass(frozen=True)
class _Ran:
    """What some runs ran, by path, in each file's newest version; taken only of files with branches."""

    lines: Mapping[str, frozenset[int]]
    taken: Mapping[str, frozenset[Arc]]
    unread: int


def by_endpoint(evidence: Evidence) -> tuple[EndpointCoverage, ...]:
    """One result an endpoint, by route and method; also those seen but never recorded."""
    runs = _grouped(evidence.runs, lambda run: run.endpoint)
    names = sorted(evidence.endpoints, key=lambda name: (name.partition(" ")[2], name))
    found = []
    for name in names:
        counts = evidence.counts.get(name, Counts(0, 0.0, 0))
        together = _union(runs.get(name, []), counts, evidence)
        found.append(EndpointCoverage(**vars(together), endpoint=name, seen=evidence.seen.get(name)))
    return tuple(found)


def union(evidence: Evidence) -> Union:
    """All requests of the selection together."""
    footing = evidence.footing
    return _union(evidence.runs, Counts(footing.records, footing.weight, footing.failed), evidence)


def by_release(evidence: Evidence) -> tuple[ReleaseCoverage, ...]:
    """One result a release, in the order in which they first came; evidence must tell releases apart."""
    counts = counted(evidence.outcomes, lambda outcome: outcome.release)
    first: dict[str, datetime] = {}
    endpoints: dict[str, set[str]] = defaultdict(set)
    for outcome in evidence.outcomes:
        name = outcome.release
        first[name] = min(outcome.day, first.get(name, outcome.day))
        endpoints[name].add(outcome.endpoint)
    runs = _grouped(evidence.runs, lambda run: run.release or "")
    found = []
    for name in sorted(counts, key=lambda name: (first[name], name)):
        own = _of_release(evidence, runs.get(name, []))
        found.append(
            ReleaseCoverage(
                **vars(_union(own.runs, counts[name], own)),
                release=name,
                first=first[name],
                endpoints=tuple(sorted(endpoints[name])),
            )
        )
    return tuple(found)


def by_file(evidence: Evidence) -> tuple[FileCoverage, ...]:
    """One result for every file that requests ran, sorted by path."""
    runs = _grouped(evidence.runs, lambda run: run.path)
    return tuple(_file(path, runs[path], evidence) for path in sorted(runs))


def by_function(evidence: Evidence) -> tuple[FunctionUnion, ...]:
    """Every function of the files that requests ran, also those never reached, by path and line."""
    return tuple(function for file in by_file(evidence) for function in file.functions)


def _grouped(runs: Iterable[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def _of_release(evidence: Evidence, runs: Sequence[Run]) -> Evidence:
    """The evidence of one release alone, in which newest is the newest that it ran."""
    newest: dict[str, tuple[bool, datetime, str]] = {}
    for run in runs:
        age = (run.digest == evidence.newest[run.path], run.last or _LONG_AGO, run.digest)
        newest[run.path] = max(age, newest.get(run.path, age))
    return replace(evidence, runs=runs, newest={path: digest for path, (_, _, digest) in newest.items()})


def _ran(runs: Iterable[Run], evidence: Evidence) -> _Ran:
    recorded: dict[Version, set[int]] = defaultdict(set)
    arcs: dict[Version, set[Arc]] = defaultdict(set)
    for run in runs:
        recorded[run.path, run.digest] |= run.lines
        if run.branches is not None:
            arcs[run.path, run.digest] |= run.branches
    lines: dict[str, set[int]] = defaultdict(set)
    taken: dict[str, set[Arc]] = defaultdict(set)
    unread = 0
    for (path, digest), ran in recorded.items():
        place = evidence.placement(path, digest)
        if place is None:
            unread += len(ran)
            continue
        lines[path] |= {place[line] for line in ran if line in place}
        if (path, digest) in arcs:
            old, new = evidence.source(path, digest), evidence.source(path, evidence.newest[path])
            moved = carried_branches(old, new) if old and new else {}
            taken[path] |= {moved[arc] for arc in arcs[path, digest] if arc in moved}
    return _Ran(
        {path: frozenset(found) for path, found in lines.items()},
        {path: frozenset(ways) for path, ways in taken.items()},
        unread,
    )


def _union(runs: Iterable[Run], counts: Counts, evidence: Evidence) -> Union:
    ran = _ran(runs, evidence)
    reached: list[FunctionCoverage] = []
    for path in sorted(ran.lines):
        source = evidence.source(path, evidence.newest[path])
        if source is not None:
            reached += _measure(source, ran.lines[path], ran.taken.get(path), reached_only=True)
    return Union(
        recorded=counts.requests,
        weight=counts.weight,
        failed=counts.failed,
        executed=sum(function.executed for function in reached),
        executable=sum(function.executable for function in reached),
        taken=_sum(function.taken for function in reached),
        branches=_sum(function.branches for function in reached),
        functions=tuple(reached),
        unread=ran.unread,
    )


def _file(path: str, runs: list[Run], evidence: Evidence) -> FileCoverage:
    newest = evidence.newest[path]
    source = evidence.source(path, newest)
    by_name = {
        name: _ran(own, evidence).lines.get(path, frozenset())
        for name, own in _grouped(runs, lambda run: run.endpoint).items()
    }
    functions: tuple[FunctionUnion, ...] = ()
    if source is None:
        problem: str | None = "source not available"
    else:
        problem = source.problem
        together = _ran(runs, evidence)
        measured = _measure(source, together.lines.get(path, frozenset()), together.taken.get(path))
        functions = tuple(
            FunctionUnion(
                **vars(result),
                endpoints=tuple(sorted(name for name, lines in by_name.items() if lines & function.body)),
            )
            for function, result in zip(source.functions, measured, strict=True)
        )
    return FileCoverage(
        path=path,
        digest=newest,
        versions=len({run.digest for run in runs}),
        endpoints=tuple(sorted(name for name, lines in by_name.items() if lines or problem)),
        executed=sum(function.executed for function in functions),
        executable=sum(function.executable for function in functions),
        taken=_sum(function.taken for function in functions),
        branches=_sum(function.branches for function in functions),
        functions=functions,
        problem=problem,
    )


def _measure(
    source: Source, lines: frozenset[int], taken: frozenset[Arc] | None, *, reached_only: bool = False
) -> Iterator[FunctionCoverage]:
    for function in source.functions:
        if reached_only and lines.isdisjoint(function.body):
            continue
        yield FunctionCoverage(
            path=source.path,
            name=function.name,
            line=function.line,
            executed=len(function.body & lines),
            executable=len(function.body),
            taken=None if taken is None else len(function.branches & taken),
            branches=None if taken is None else len(function.branches),
        )


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Of those that are known; None when none is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
