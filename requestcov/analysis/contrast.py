"""Two groups of requests of one endpoint, and what each of them ran.

Laws: counts are of recorded requests; a request runs at most one block of a
version of a file, so counts add up block by block, and no line is ever looked
at request by request. Lines are those of function bodies, where they stand in
the newest version of their file; what has no place there is counted as left
out. A branch is an arc out of a line from which requests went more than one
way. Elements that the same numbers of both groups ran cannot be told apart:
they are one tie. A branch into a line that the same requests ran says what the
line says: it is told beside it, and takes no place of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from requestcov._source import Source
from requestcov._source_cache import SourceCache
from requestcov._ways import ways
from requestcov.analysis.evidence import Ways
from requestcov.record import format_lines
from requestcov.storage.results import Sample, StoredBlock

LEAST = 2
"""Requests that each group must have for anything to be said."""

Place = tuple[str, int, int]
"""(path, line, line that a branch goes to); the last is 0 for a line, OUT or ENDED for a way out."""

OUT, ENDED = -1, -2
"""Of the function, and of the line by an exception: the line ran, and none that it can lead to did."""


@dataclass(frozen=True)
class Groups:
    """The requests of interest ("failing") and those they are held against ("healthy").

    Attributes:
        failing, healthy: spectrum id -> number of requests.
        apart: requests that are in neither.
    """

    failing: Counter[int]
    healthy: Counter[int]
    apart: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """Lines, or branches, of one function that the same numbers of requests ran.

    Attributes:
        path: of the file.
        function: qualified name.
        lines: compact ranges of lines: ``"14-17,20"``.
        branches: ``"14-17"``, one a branch: from line to line, or ``"14-exit"``; ``"14-ended"`` where
            the line ran and none that it can lead to did: an exception left it.
        first: the first line of them.
        blocks: numbers of the blocks that hold any of them.
    """

    path: str
    function: str
    lines: str
    branches: tuple[str, ...]
    first: int
    blocks: frozenset[int] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Tie:
    """Elements that cannot be told apart.

    Attributes:
        ef, ep: failing and healthy requests that ran them.
        size: lines in it, and branches but for those into one of its lines that the same requests ran.
        parts: by function, in the order of the text.
    """

    ef: int
    ep: int
    size: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """All that either group ran.

    Attributes:
        failing, healthy: requests in the groups.
        apart: requests in neither.
        ties: in no order.
        left_out: recorded lines that have no place in the newest version of their file.
    """

    failing: int
    healthy: int
    apart: int
    ties: tuple[Tie, ...]
    left_out: int


def divide(samples: Iterable[Sample], decide: Callable[[Sample], bool | None]) -> Groups:
    """Two groups: ``decide`` says True for failing, False for healthy, None for neither."""
    groups: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    apart = 0
    for sample in samples:
        found = decide(sample)
        if found is None:
            apart += sample.requests
        else:
            groups[found][sample.spectrum] += sample.requests
    return Groups(groups[True], groups[False], apart)


def contrast(traffic: Ways, groups: Groups, *, endings: bool = False) -> Contrast:
    """Count what the groups ran.

    Args:
        endings: whether lines at which the way ended are elements too, see ENDED.
    """
    cache = SourceCache() if endings else None
    failing = _by_block(groups.failing, traffic.paths)
    healthy = _by_block(groups.healthy, traffic.paths)
    by_path: defaultdict[str, list[StoredBlock]] = defaultdict(list)
    for number in {*failing, *healthy}:
        by_path[traffic.blocks[number].path].append(traffic.blocks[number])
    found: defaultdict[tuple[int, int], list[Part]] = defaultdict(list)
    sizes: Counter[tuple[int, int]] = Counter()
    left_out: set[tuple[str, str, int]] = set()
    for path, blocks in sorted(by_path.items()):
        source = traffic.evidence.source(path, traffic.evidence.newest[path])
        holders, lost = _places(traffic, path, blocks, cache)
        left_out |= lost
        if source is None or source.problem:
            continue
        for (name, holding), places in _alike(holders, source).items():
            counts = sum(failing[n] for n in holding), sum(healthy[n] for n in holding)
            sizes[counts] += _size(places)
            found[counts].append(_part(path, name, places, holding))
    return Contrast(
        failing=groups.failing.total(),
        healthy=groups.healthy.total(),
        apart=groups.apart,
        ties=tuple(
            Tie(ef=ef, ep=ep, size=sizes[ef, ep], parts=tuple(_joined(parts)))
            for (ef, ep), parts in found.items()
        ),
        left_out=len(left_out),
    )


def _by_block(counts: Counter[int], paths: Mapping[int, frozenset[int]]) -> Counter[int]:
    found: Counter[int] = Counter()
    for spectrum, requests in counts.items():
        for block in paths[spectrum]:
            found[block] += requests
    return found


def _places(
    traffic: Ways, path: str, blocks: Sequence[StoredBlock], cache: SourceCache | None
) -> tuple[dict[Place, set[int]], Set[tuple[str, str, int]]]:
    """Every line and branch of a file -> the blocks that hold it; and the lines that have no place."""
    holders: defaultdict[Place, set[int]] = defaultdict(set)
    lost: set[tuple[str, str, int]] = set()
    for block in blocks:
        placement = traffic.evidence.placement(path, block.digest)
        nowhere = traffic.evidence.lost(path, block.digest, block.lines)
        lost.update((path, block.digest, line) for line in (block.lines if nowhere is None else nowhere))
        if placement is None:
            continue
        for line in block.lines:
            if line in placement:
                holders[path, placement[line], 0].add(block.number)
        for start, end in block.branches or ():
            if start in placement and (end < 0 or end in placement):
                to = OUT if end < 0 else placement[end]
                if to != placement[start]:
                    holders[path, placement[start], to].add(block.number)
    taken = Counter(line for _, line, to in holders if to)
    found = {place: held for place, held in holders.items() if not place[2] or taken[place[1]] > 1}
    # What all ran alike ended alike.
    if cache is not None and len(blocks) > 1:
        for block in blocks:
            for line in _ended(traffic, block, cache):
                found.setdefault((path, line, ENDED), set()).add(block.number)
    return found, lost


def _ended(traffic: Ways, block: StoredBlock, cache: SourceCache) -> Iterator[int]:
    """Lines of a block, where they stand now, that ran though none that they can lead to did."""
    source = traffic.evidence.source(block.path, block.digest)
    placement = traffic.evidence.placement(block.path, block.digest)
    if source is None or placement is None:
        return
    next_of, ran = ways(source, cache), source.statements(block.lines)
    for line in ran & placement.keys():
        after = next_of.get(line)
        if after and min(after) > 0 and after.isdisjoint(ran):
            yield placement[line]


def _alike(
    holders: Mapping[Place, set[int]], source: Source
) -> dict[tuple[str, frozenset[int]], list[Place]]:
    """Elements of one function that the same blocks hold."""
    alike: defaultdict[tuple[str, frozenset[int]], list[Place]] = defaultdict(list)
    for place in sorted(holders):
        alike[source.owner[place[1]].name, frozenset(holders[place])].append(place)
    return alike


def _size(places: Sequence[Place]) -> int:
    """Elements that say something; of one function, and held by the same blocks."""
    lines = {line for _, line, to in places if not to}
    # Where all that ran a line ended there, that says what the line says.
    return sum(1 for _, line, to in places if (line if to == ENDED else to) not in lines)


def _part(path: str, name: str, places: Sequence[Place], blocks: frozenset[int]) -> Part:
    return Part(
        path=path,
        function=name,
        lines=format_lines(line for _, line, to in places if not to),
        branches=tuple(f"{line}-{_WORDS.get(to, to)}" for _, line, to in places if to),
        first=min(line for _, line, _ in places),
        blocks=blocks,
    )


_WORDS = {OUT: "exit", ENDED: "ended"}


def _joined(parts: Iterable[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (part.path, part.first))
