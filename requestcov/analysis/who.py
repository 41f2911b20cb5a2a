"""Who ran this line: endpoints, requests, releases and tests, and when first and last?

Laws: pure functions. Counts and times are the requests' own where their rows
are kept, and the days' where they are not; which of the two is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from requestcov._source import Source
from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.statistics import fraction_of
from requestcov.storage.results import Ran, Request


@dataclass(frozen=True)
class Runner:
    """An endpoint, or a release, whose requests ran the line.

    Attributes:
        name: ``GET /orders/{id}``, or the release.
        requests: recorded ones that ran the line.
        weight: how many they stand for.
        share: their part of the weight of all that ran the line, 0 to 1.
        first, last: start of the earliest and the latest; if not ``exact``, of those of their days.
        exact: whether every request's own row is kept.
    """

    name: str
    requests: int
    weight: float
    share: float
    first: datetime
    last: datetime
    exact: bool


@dataclass(frozen=True)
class Recent:
    """One of the latest requests that ran the line; as in its record."""

    id: str
    time: datetime
    endpoint: str
    release: str
    status: int | None
    error: str | None
    duration_ms: float
    trace_id: str | None


@dataclass(frozen=True)
class Place:
    """A line of a text, and the blocks that hold it.

    Attributes:
        source: the text that the line is of.
        statement: first line of its statement.
        function: qualified name of the function whose body it is in.
        blocks: numbers of the blocks of the runs that executed it.
        unplaced: recorded requests that ran the file in a version of which the function, or all, has
            no place in this text.
    """

    source: Source
    statement: int
    function: str
    blocks: frozenset[int]
    unplaced: int


@dataclass(frozen=True)
class Tests:
    """What a test-suite's data file says of the line.

    Attributes:
        data: name of the file.
        ran: whether the tests ran the line; None: that cannot be said.
        contexts: names of those that did, sorted.
        problem: why it cannot be said, or who ran it not, or None.
        doubt: what speaks against the text having been the one that the tests ran, or None.
    """

    __test__ = False  # Not for pytest to collect.

    data: str
    ran: bool | None
    contexts: tuple[str, ...]
    problem: str | None
    doubt: str | None


@dataclass(frozen=True)
class Who:
    """Who ran a line.

    Attributes:
        path, digest: the file, and the version that the line is of.
        line, statement, text, function: where it is.
        requests, weight: recorded ones that ran it, and what they stand for.
        share: their part of the weight of all requests asked about, 0 to 1.
        endpoints, releases: by falling weight.
        recent: the latest requests, newest first.
        unplaced: recorded requests that ran the file in a version whose lines have no place in this one.
        tests: what a test-suite's data file says, or None when none was named.
    """

    path: str
    digest: str
    line: int
    statement: int
    text: str
    function: str
    requests: int
    weight: float
    share: float
    endpoints: tuple[Runner, ...]
    releases: tuple[Runner, ...]
    recent: tuple[Recent, ...]
    unplaced: int
    tests: Tests | None

    @property
    def first(self) -> datetime | None:
        """When first, or None: never."""
        return min((one.first for one in self.endpoints), default=None)

    @property
    def last(self) -> datetime | None:
        """When last, or None: never."""
        return max((one.last for one in self.endpoints), default=None)

    @property
    def exact(self) -> bool:
        """Whether first and last are of the very requests; else they are those of their days."""
        return all(one.exact for one in self.endpoints)


def place(evidence: Evidence, source: Source, line: int) -> Place | str:
    """Where a line stands, or the sentence that says why no request can be said to run it."""
    if source.problem:
        return f"{source.path} cannot be judged: {source.problem}."
    if not 1 <= line <= len(source.lines):
        return f"{source.path} has {len(source.lines)} lines, none of number {line}."
    statement = source.first.get(line, line)
    if statement not in source.bodies:
        if statement in source.executable:
            return (
                f"line {line} of {source.path} runs when the module is imported, "
                "which says nothing about requests."
            )
        below = min((number for number in source.bodies if number > line), default=None)
        near = "" if below is None else f"; the next that requests can run is {below}"
        return f"line {line} of {source.path} holds no statement{near}."
    placed = evidence.against(source)
    name = source.owner[statement].name
    mine: list[Run] = []
    unplaced = 0
    for run in evidence.runs:
        if run.path != source.path:
            continue
        if statement in placed.placed(run):
            mine.append(run)
        elif _lost(placed, run, name):
            unplaced += run.requests
    blocks = frozenset(run.block for run in mine if run.block is not None)
    return Place(source, statement, name, blocks, unplaced)


def who(
    evidence: Evidence,
    where: Place,
    line: int,
    ran: Sequence[Ran],
    recent: Iterable[Request],
    tests: Tests | None = None,
) -> Who:
    """Put together who ran a line.

    Args:
        evidence: of the requests asked about.
        where: of the line.
        ran: the cohorts that ran its blocks.
        recent: the latest of their requests.
        tests: what the tests' data file says.
    """
    weight = sum(part.weight for part in ran)
    return Who(
        path=where.source.path,
        digest=where.source.digest,
        line=line,
        statement=where.statement,
        text=where.source.lines[where.statement - 1],
        function=where.function,
        requests=sum(part.requests for part in ran),
        weight=weight,
        share=fraction_of(weight, evidence.footing.weight),
        endpoints=_runners(((part.endpoint, part) for part in ran), weight),
        releases=_runners(((part.release, part) for part in ran), weight),
        recent=tuple(
            Recent(r.id, r.time, r.endpoint, r.release, r.status, r.error, r.duration_ms, r.trace_id)
            for r in recent
        ),
        unplaced=where.unplaced,
        tests=tests,
    )


def _runners(parts: Iterable[tuple[str, Ran]], weight: float) -> tuple[Runner, ...]:
    groups: dict[str, list[Ran]] = defaultdict(list)
    for name, part in parts:
        groups[name].append(part)
    made = [
        Runner(
            name,
            sum(part.requests for part in group),
            (own := sum(part.weight for part in group)),
            fraction_of(own, weight),
            min(part.first for part in group),
            max(part.last for part in group),
            all(part.exact for part in group),
        )
        for name, group in groups.items()
    ]
    return tuple(sorted(made, key=lambda one: (-one.weight, one.name)))


def _lost(placed: Evidence, run: Run, name: str) -> bool:
    """Whether a run may have executed the line in a text of the function that is another."""
    lost = placed.lost_functions(run)
    return lost is None or any(function.name == name for function in lost)
