"""Which ways do requests take through an endpoint, and what tells one from the next?

Laws: pure function of an endpoint's traffic, frozen results. A path is what a
request ran until its response was complete: the set of lines of function
bodies, as the files are now, so a deploy that moved them splits no path; lines
of functions that have changed since, which stand nowhere now, still tell paths
apart. What ran after the response is told apart and splits no path. Neither the
order of requests nor the unit of weights changes a path, a share or a median.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from textwrap import dedent

from requestcov._source import Function, Source
from requestcov.analysis.durations import percentile
from requestcov.analysis.evidence import Evidence, Timings
from requestcov.analysis.paths_results import (
    Background,
    ExecutionPath,
    Folded,
    PathLine,
    PathPart,
    Paths,
)
from requestcov.analysis.statistics import fraction_of
from requestcov.storage.results import Timed

NEIGHBOURS = 50
"""The most common paths, among which a rarer one's nearest is looked for."""

Lines = Mapping[str, frozenset[int]]
"""Path -> body lines, in the newest version."""


@dataclass(frozen=True)
class _Piece:
    """What a request ran of one version of one file, as comparable as can be.

    Attributes:
        path: of the file.
        lines: body lines that stand in the newest version.
        strays: those that do not, as (digest, line).
    """

    path: str
    lines: frozenset[int]
    strays: frozenset[tuple[str, int]]


@dataclass
class _Group:
    """The requests of one path; also of several, when they are folded. Nothing is asked until all are in."""

    timed: list[Timed] = field(default_factory=list)

    @cached_property
    def requests(self) -> int:
        return sum(len(some.durations) for some in self.timed)

    @cached_property
    def weight(self) -> float:
        return _weight(self.timed)

    @cached_property
    def failed(self) -> int:
        return sum(len(some.durations) for some in self.timed if some.failed)

    @cached_property
    def failing(self) -> float:
        failed = [some for some in self.timed if some.failed]
        return fraction_of(_weight(failed), self.weight) if failed else 0.0

    @property
    def median_ms(self) -> float:
        """The weighted median: the shortest duration that half of the weight does not exceed."""
        return (percentile([(some.weight, some.durations) for some in self.timed], 0.5) or 0.0) / 1000


def paths_of(timings: Timings, most: int | None = None) -> Paths:
    """The paths of an endpoint, the most common first; at most so many told, None: all."""
    pieces = _Pieces(timings)
    groups: dict[frozenset[int], _Group] = defaultdict(_Group)
    for some in timings.timed:
        groups[pieces.path_of(some)].timed.append(some)
    weights = {key: group.weight for key, group in groups.items()}
    ordered = sorted(groups, key=lambda key: (-weights[key], -groups[key].requests, pieces.order(key)))
    whole = math.fsum(weights.values())
    shown = ordered[:most]
    told = [
        _told(at, shown[: at + 1], groups[key], whole, pieces, timings.evidence)
        for at, key in enumerate(shown)
    ]
    rest = [groups[key] for key in ordered[len(shown) :]]
    requests = sum(group.requests for group in groups.values())
    once = sum(1 for group in groups.values() if group.requests == 1)
    return Paths(
        endpoint=timings.endpoint,
        paths=tuple(told),
        total=len(ordered),
        folded=_folded(rest, whole) if rest else None,
        once=once,
        unseen=once / requests if requests else None,
        background=_background(timings, whole),
    )


class _Pieces:
    """The pieces of paths, numbered, so that a path is a small set of numbers."""

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self._numbers: dict[_Piece, int] = {}
        self._pieces: list[_Piece] = []
        self._of_block: dict[tuple[int, frozenset[int]], int | None] = {}
        self._of_request: dict[tuple[int, int | None], frozenset[int]] = {}

    def path_of(self, some: Timed) -> frozenset[int]:
        """What some requests ran until their responses were complete."""
        key = (some.spectrum, some.background)
        if key not in self._of_request:
            later = _later(self._timings, some.background)
            found = {self._piece(number, later) for number in self._timings.paths[some.spectrum]}
            self._of_request[key] = frozenset(number for number in found if number is not None)
        return self._of_request[key]

    def lines(self, numbers: Iterable[int]) -> dict[str, frozenset[int]]:
        """What some pieces hold, by file."""
        found: dict[str, frozenset[int]] = {}
        for piece in map(self._pieces.__getitem__, numbers):
            found[piece.path] = found.get(piece.path, frozenset()) | piece.lines
        return found

    def strays(self, numbers: Iterable[int]) -> frozenset[tuple[str, str, int]]:
        """Lines of some pieces that stand nowhere now."""
        pieces = map(self._pieces.__getitem__, numbers)
        return frozenset((piece.path, *stray) for piece in pieces for stray in piece.strays)

    def order(self, numbers: Iterable[int]) -> list[int]:
        """What equally common paths are ordered by; for when all are known."""
        return sorted(map(self._ranks.__getitem__, numbers))

    @cached_property
    def _ranks(self) -> dict[int, int]:
        def content(number: int) -> tuple[str, list[int], list[tuple[str, int]]]:
            piece = self._pieces[number]
            return piece.path, sorted(piece.lines), sorted(piece.strays)

        return {number: rank for rank, number in enumerate(sorted(range(len(self._pieces)), key=content))}

    def _piece(self, number: int, later: Mapping[tuple[str, str], frozenset[int]]) -> int | None:
        """None when nothing of a block is left to compare."""
        block, evidence = self._timings.blocks[number], self._timings.evidence
        without = later.get((block.path, block.digest), frozenset[int]())
        if (number, without) not in self._of_block:
            place = evidence.placement(block.path, block.digest) or {}
            ran = block.lines - without
            lines = frozenset(place[line] for line in ran if line in place)
            lost = evidence.lost(block.path, block.digest, ran)
            if lost is None:
                lost = ran
            piece = _Piece(block.path, lines, frozenset((block.digest, line) for line in lost))
            found = None
            if piece.lines or piece.strays:
                found = self._numbers.setdefault(piece, len(self._pieces))
                if found == len(self._pieces):
                    self._pieces.append(piece)
            self._of_block[number, without] = found
        return self._of_block[number, without]


def _weight(timed: Iterable[Timed]) -> float:
    """Requests that they stand for."""
    return math.fsum(some.weight * len(some.durations) for some in timed)


def _later(timings: Timings, background: int | None) -> dict[tuple[str, str], frozenset[int]]:
    """(path, digest) -> lines that ran only after the response."""
    if background is None:
        return {}
    blocks = [timings.blocks[number] for number in timings.later[background]]
    return {(block.path, block.digest): block.lines for block in blocks}


def _told(
    at: int,
    keys: Sequence[frozenset[int]],
    group: _Group,
    whole: float,
    pieces: _Pieces,
    evidence: Evidence,
) -> ExecutionPath:
    key, lines = keys[at], pieces.lines(keys[at])
    like: int | None = None
    adds: tuple[PathPart, ...] = ()
    lacks: tuple[PathPart, ...] = ()
    differs = False
    if at:
        like = min(range(min(at, NEIGHBOURS)), key=lambda other: (_distance(key, keys[other], pieces), other))
        other = pieces.lines(keys[like])
        adds, lacks = _parts(lines, other, evidence), _parts(other, lines, evidence)
        differs = pieces.strays(key) != pieces.strays(keys[like])
    return ExecutionPath(
        number=at + 1,
        requests=group.requests,
        weight=group.weight,
        share=fraction_of(group.weight, whole),
        failed=group.failed,
        failing=group.failing,
        median_ms=group.median_ms,
        releases=tuple(sorted({some.release for some in group.timed})),
        functions=sum(len(_functions(path, ran, evidence)) for path, ran in lines.items()),
        lines=sum(map(len, lines.values())),
        changed=len(pieces.strays(key)),
        like=None if like is None else like + 1,
        adds=adds,
        lacks=lacks,
        changed_differs=differs,
        background=sum(len(some.durations) for some in group.timed if some.background is not None),
    )


def _distance(one: frozenset[int], other: frozenset[int], pieces: _Pieces) -> int:
    """Lines that one of the two paths runs and the other does not."""
    mine, theirs = pieces.lines(one - other), pieces.lines(other - one)
    files = {*mine, *theirs}
    nothing = frozenset[int]()
    apart = sum(len(mine.get(path, nothing) ^ theirs.get(path, nothing)) for path in files)
    return apart + len(pieces.strays(one - other) ^ pieces.strays(other - one))


def _parts(lines: Lines, other: Lines, evidence: Evidence) -> tuple[PathPart, ...]:
    """What the first ran and the other did not, by function."""
    found = []
    for path in sorted(lines):
        theirs = other.get(path, frozenset[int]())
        for source, function in _functions(path, lines[path] - theirs, evidence):
            numbers = sorted((lines[path] - theirs) & function.body)
            found.append(
                PathPart(
                    path=path,
                    name=function.name,
                    line=function.line,
                    whole=theirs.isdisjoint(function.body),
                    lines=_texts(source, function, numbers),
                )
            )
    return tuple(found)


def _functions(path: str, lines: frozenset[int], evidence: Evidence) -> list[tuple[Source, Function]]:
    """Those that the lines belong to, in the order of the text, with their file."""
    source = evidence.source(path, evidence.newest[path]) if lines else None
    if source is None:
        return []
    starts = {source.owner[line].line for line in lines}
    return [(source, function) for function in source.functions if function.line in starts]


def _texts(source: Source, function: Function, numbers: Sequence[int]) -> tuple[PathLine, ...]:
    body = dedent("\n".join(line.expandtabs() for line in function.text.split("\n"))).split("\n")
    return tuple(PathLine(number, body[number - function.start].rstrip()) for number in numbers)


def _folded(groups: Sequence[_Group], whole: float) -> Folded:
    together = _Group([some for group in groups for some in group.timed])
    return Folded(
        paths=len(groups),
        requests=together.requests,
        weight=together.weight,
        share=fraction_of(together.weight, whole),
        failed=together.failed,
        failing=together.failing,
    )


def _background(timings: Timings, whole: float) -> tuple[Background, ...]:
    evidence = timings.evidence
    followed: dict[int, list[Timed]] = defaultdict(list)
    for some in timings.timed:
        if some.background is not None:
            followed[some.background].append(some)
    lines: dict[tuple[str, int], set[int]] = defaultdict(set)
    ran_by: dict[tuple[str, int], list[Timed]] = defaultdict(list)
    known: dict[tuple[str, int], Function] = {}
    for background, timed in followed.items():
        for (path, digest), ran in _later(timings, background).items():
            place = evidence.placement(path, digest) or {}
            now = frozenset(place[line] for line in ran if line in place)
            for _, function in _functions(path, now, evidence):
                key = (path, function.line)
                known[key] = function
                lines[key] |= now & function.body
                ran_by[key] += timed
    found = [
        Background(
            path=path,
            name=function.name,
            line=function.line,
            lines=tuple(sorted(lines[path, line])),
            requests=sum(len(some.durations) for some in ran_by[path, line]),
            share=fraction_of(_weight(ran_by[path, line]), whole),
        )
        for (path, line), function in known.items()
    ]
    return tuple(sorted(found, key=lambda item: (-item.share, item.path, item.line)))
