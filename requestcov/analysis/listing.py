"""Which lines of a file did these requests run, and how often?

Laws: pure functions, evidence and sources in, frozen results out. A line's
requests are recorded ones; its share is by weight, so that a sample stands
for the traffic it was drawn from (Horvitz and Thompson's estimator: each
request counts as one over its chance of being recorded).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from requestcov._source import Source, carried
from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.statistics import fraction_of
from requestcov.analysis.tally import Tally


class Kind(Enum):
    """What can be said of a line."""

    EXECUTED = "executed"
    MISSED = "missed"
    IMPORT = "import"
    NONE = "none"


class Line(NamedTuple):
    """One line of a listing.

    Attributes:
        number: from 1.
        text: as written.
        statement: first line of the statement it belongs to.
        kind: ``EXECUTED`` and ``MISSED`` in function bodies, ``IMPORT`` for what
            runs when the module is imported, ``NONE`` for what never runs.
        requests: recorded requests that ran the statement.
        share: their part of the weight of all requests asked about, 0 to 1.
        endpoints: those that ran it, sorted.
    """

    number: int
    text: str
    statement: int
    kind: Kind
    requests: int
    share: float
    endpoints: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """One version of one file as some requests ran it.

    Attributes:
        path, digest: the version shown.
        digests: all versions that any request of the selection ran, newest first.
        lines: all of them; empty when the source is not available.
        reached: (first line, last line) of each function that was run, the
            ``def`` line included, merged and ascending.
        endpoints: those that ran a line, sorted.
        recorded: line numbers as recorded for this version.
        left_out: recorded lines of other versions that could not be placed here.
        problem: why there is nothing to show, or no more than the text.
    """

    path: str
    digest: str
    digests: tuple[str, ...]
    lines: tuple[Line, ...] = field(repr=False)
    reached: tuple[tuple[int, int], ...]
    endpoints: tuple[str, ...]
    recorded: frozenset[int]
    left_out: int
    problem: str | None


def of_endpoint(evidence: Evidence, endpoint: str, digest: str | None = None) -> tuple[Listing, ...]:
    """A listing of each file in which the endpoint ran, sorted by path.

    With a digest only the file of that version, as that version ran.
    """
    by_path: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        if run.endpoint == endpoint and digest in (None, run.digest):
            by_path[run.path].append(run)
    counts = evidence.counts.get(endpoint)
    weight = counts.weight if counts else 0.0
    return tuple(_listing(evidence, path, by_path[path], weight, digest) for path in sorted(by_path))


def of_file(evidence: Evidence, path: str, digest: str | None = None) -> Listing:
    """A listing of one file over all endpoints; with a digest as that version ran."""
    runs = [run for run in evidence.runs if run.path == path and digest in (None, run.digest)]
    return _listing(evidence, path, runs, sum(c.weight for c in evidence.counts.values()), digest)


def _listing(evidence: Evidence, path: str, runs: list[Run], weight: float, digest: str | None) -> Listing:
    shown = evidence.newest[path] if digest is None else digest
    source = evidence.source(path, shown)
    recorded = frozenset[int]().union(*(run.lines for run in runs if run.digest == shown))
    tallies: dict[int, Tally] = defaultdict(Tally)
    left_out: set[tuple[str, int]] = set()
    if source is not None:
        for run in runs:
            placed, lost = _place(run, source, evidence)
            left_out.update((run.digest, line) for line in lost)
            for line in placed:
                tallies[line].add(run)
    else:
        left_out = {(run.digest, line) for run in runs if run.digest != shown for line in run.lines}
    problem = "source not available" if source is None else source.problem
    return Listing(
        path=path,
        digest=shown,
        digests=tuple(evidence.versions[path]),
        lines=tuple(_lines(source, tallies, weight)) if source else (),
        reached=_reached(source, tallies) if source else (),
        endpoints=tuple(sorted({run.endpoint for run in runs})),
        recorded=recorded,
        left_out=len(left_out),
        problem=problem,
    )


def _place(run: Run, source: Source, evidence: Evidence) -> tuple[frozenset[int], frozenset[int]]:
    """The run's statements in this source, and the recorded lines that have no place in it."""
    nothing = frozenset[int]()
    if run.digest == source.digest:
        return (run.lines if source.problem else source.statements(run.lines)), nothing
    old = evidence.source(run.path, run.digest)
    if old is None or old.problem or source.problem:
        return nothing, run.lines
    mapping = carried(old, source)
    ran = old.statements(run.lines)
    return frozenset(mapping[line] for line in ran if line in mapping), (ran & old.bodies) - mapping.keys()


def _lines(source: Source, tallies: Mapping[int, Tally], weight: float) -> Iterable[Line]:
    first, bodies, executable = source.first, source.bodies, source.executable
    for number, text in enumerate(source.lines, 1):
        statement = first.get(number, number)
        tally = tallies.get(statement)
        if tally is not None and tally.requests and (statement in bodies or source.problem):
            kind = Kind.EXECUTED
        elif statement in bodies:
            kind = Kind.MISSED
        else:
            kind = Kind.IMPORT if statement in executable else Kind.NONE
        if tally is None:
            yield Line(number, text, statement, kind, 0, 0.0, ())
            continue
        share = fraction_of(tally.weight, weight)
        yield Line(number, text, statement, kind, tally.requests, share, tuple(sorted(tally.endpoints)))


def _reached(source: Source, tallies: Mapping[int, Tally]) -> tuple[tuple[int, int], ...]:
    if source.problem:
        return tuple((line, line) for line in sorted(tallies))
    ranges: list[tuple[int, int]] = []
    for function in source.functions:
        if function.body.isdisjoint(tallies):
            continue
        if ranges and function.line <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], function.end))
        else:
            ranges.append((function.line, function.end))
    return tuple(ranges)
