"""How much of the functions that requests reach do requests run?

Laws: pure functions, evidence and sources in, frozen results out. Only lines
in function bodies count, above and below the fraction line: what runs at
import runs whether or not a request came. Every version of a file counts for
what it still says: lines of an older version are carried over to the newest
one for functions whose name and body are unchanged, and for no others.

The fraction is executed / executable lines of the functions reached, so more
requests never lower the lines executed nor the coverage of a function or a
file; an endpoint's coverage does fall when it reaches a further function that
it runs only in part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from requestcov._source import Source, carried
from requestcov.analysis.evidence import Evidence, Run, Version


@dataclass(frozen=True)
class FunctionCoverage:
    """One function of a file's newest version.

    Attributes:
        path: relative to the project root.
        name: qualified name.
        line: of the ``def``.
        executed, executable: numbers of body lines.
    """

    path: str
    name: str
    line: int
    executed: int
    executable: int


@dataclass(frozen=True)
class EndpointCoverage:
    """One endpoint.

    Attributes:
        endpoint: ``GET /orders/{id}``.
        seen: requests that reached the wrappers; None when no ledger tells.
        recorded: requests stored in the selection.
        weight: how many requests those stand for.
        failed: recorded requests with an exception or a status of 500 and up.
        executed, executable: body lines of the functions reached.
        functions: those reached, by path and line.
        unread: distinct (file, line) recorded that could not be judged,
            because no source of that version is at hand or it cannot be parsed.
    """

    endpoint: str
    seen: int | None
    recorded: int
    weight: float
    failed: int
    executed: int
    executable: int
    functions: tuple[FunctionCoverage, ...]
    unread: int

    @property
    def method(self) -> str:
        """``GET``."""
        return self.endpoint.partition(" ")[0]

    @property
    def route(self) -> str:
        """``/orders/{id}``."""
        return self.endpoint.partition(" ")[2]

    @property
    def coverage(self) -> float | None:
        """executed / executable, 0 to 1; None when no function was reached."""
        return self.executed / self.executable if self.executable else None


@dataclass(frozen=True)
class FileCoverage:
    """One file, in its newest version.

    Attributes:
        path, digest: of the newest version.
        versions: how many versions requests ran.
        endpoints: those that ran any line of a function body, sorted.
        executed, executable: lines of all function bodies of the file.
        functions: every function of the file, in the order of the text.
        problem: why the file cannot be judged, else None.
    """

    path: str
    digest: str
    versions: int
    endpoints: tuple[str, ...]
    executed: int
    executable: int
    functions: tuple[FunctionCoverage, ...]
    problem: str | None

    @property
    def coverage(self) -> float | None:
        """executed / executable, 0 to 1; None when the file has no function body."""
        return self.executed / self.executable if self.executable else None


def by_endpoint(evidence: Evidence) -> tuple[EndpointCoverage, ...]:
    """One result an endpoint, by route and method; also those seen but never recorded."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        runs[run.endpoint].append(run)
    names = sorted(evidence.endpoints, key=lambda name: (name.partition(" ")[2], name))
    return tuple(_endpoint(name, runs[name], evidence) for name in names)


def by_file(evidence: Evidence) -> tuple[FileCoverage, ...]:
    """One result for every file that requests ran, sorted by path."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        runs[run.path].append(run)
    return tuple(_file(path, runs[path], evidence) for path in sorted(runs))


def executed_lines(runs: Iterable[Run], evidence: Evidence) -> tuple[dict[str, frozenset[int]], int]:
    """Body lines that the runs executed, by path, in each file's newest version.

    Returns:
        the lines, and how many distinct (path, version, line) could not be judged.
    """
    recorded: dict[Version, set[int]] = defaultdict(set)
    for run in runs:
        recorded[run.path, run.digest] |= run.lines
    executed: dict[str, set[int]] = defaultdict(set)
    unread = 0
    for (path, digest), lines in recorded.items():
        old, new = evidence.source(path, digest), evidence.source(path, evidence.newest[path])
        if old is None or new is None or old.problem or new.problem:
            unread += len(lines)
            continue
        mapping = carried(old, new)
        executed[path] |= {mapping[line] for line in old.statements(lines) if line in mapping}
    return {path: frozenset(lines) for path, lines in executed.items()}, unread


def _endpoint(name: str, runs: list[Run], evidence: Evidence) -> EndpointCoverage:
    lines, unread = executed_lines(runs, evidence)
    reached: list[FunctionCoverage] = []
    for path in sorted(lines):
        source = evidence.source(path, evidence.newest[path])
        if source is not None:
            reached += [f for f in _measure(source, lines[path]) if f.executed]
    counts = evidence.counts.get(name)
    return EndpointCoverage(
        endpoint=name,
        seen=evidence.seen.get(name),
        recorded=counts.requests if counts else 0,
        weight=counts.weight if counts else 0.0,
        failed=counts.failed if counts else 0,
        executed=sum(function.executed for function in reached),
        executable=sum(function.executable for function in reached),
        functions=tuple(reached),
        unread=unread,
    )


def _file(path: str, runs: list[Run], evidence: Evidence) -> FileCoverage:
    newest = evidence.newest[path]
    source = evidence.source(path, newest)
    by_name: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_name[run.endpoint].append(run)
    ran = {name: executed_lines(own, evidence)[0].get(path, frozenset()) for name, own in by_name.items()}
    functions: tuple[FunctionCoverage, ...] = ()
    if source is None:
        problem: str | None = "source not available"
    else:
        problem = source.problem
        functions = tuple(_measure(source, frozenset().union(*ran.values())))
    return FileCoverage(
        path=path,
        digest=newest,
        versions=len({run.digest for run in runs}),
        endpoints=tuple(sorted(name for name, lines in ran.items() if lines or problem)),
        executed=sum(function.executed for function in functions),
        executable=sum(function.executable for function in functions),
        functions=functions,
        problem=problem,
    )


def _measure(source: Source, lines: frozenset[int]) -> Iterable[FunctionCoverage]:
    for function in source.functions:
        ran = len(function.body & lines)
        yield FunctionCoverage(source.path, function.name, function.line, ran, len(function.body))
