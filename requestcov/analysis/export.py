"""What ran, as other tools want it: by line of the files as they are in the working tree.

Laws: pure. A tool that is given line numbers shows them in the files it finds,
so a line is exported only where it stands in the working tree: every line of a
version that is the same byte for byte, of any other version the lines of
functions whose name and body are unchanged. What has no place is left out and
named. All executable lines of a file are listed, also those that run when the
module is imported: they have as many requests as ran them, mostly none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from requestcov._source import Source, carried, carried_branches
from requestcov.analysis.evidence import Evidence, Run
from requestcov.record import Arc


@dataclass(frozen=True)
class ExportedLine:
    """One executable line, the first one of its statement.

    Attributes:
        line: its number in the working tree.
        requests: how many recorded requests ran it.
        weight: how many requests those stand for.
        endpoints: endpoint -> its recorded requests that ran it.
    """

    line: int
    requests: int
    weight: float
    endpoints: Mapping[str, int]


@dataclass(frozen=True)
class ExportedFunction:
    """One function.

    Attributes:
        name: qualified.
        line: of the ``def``.
        requests, weight: recorded requests that ran any line of its body, and what they stand for.
    """

    name: str
    line: int
    requests: int
    weight: float


@dataclass(frozen=True)
class ExportedBranch:
    """One way on from a line that has several.

    Attributes:
        line, to: from where to where; a negative ``to`` leaves the function that begins there.
        requests, weight: recorded requests that took it, and what they stand for.
    """

    line: int
    to: int
    requests: int
    weight: float


@dataclass(frozen=True)
class ExportedFile:
    """One file of the working tree that requests ran.

    Attributes:
        path: relative to the project root.
        digest: of the file as it is there.
        lines: every executable line, ascending.
        functions: in the order of the text.
        branches: every branch, ascending; None when they were not measured in all that ran.
        ran: endpoint -> lines that ran, first lines of statements.
        arcs: endpoint -> branches taken; None as above.
    """

    path: str
    digest: str
    lines: tuple[ExportedLine, ...]
    functions: tuple[ExportedFunction, ...]
    branches: tuple[ExportedBranch, ...] | None
    ran: Mapping[str, frozenset[int]] = field(repr=False)
    arcs: Mapping[str, frozenset[Arc]] | None = field(repr=False)


@dataclass(frozen=True)
class LeftOut:
    """Lines that ran in a version of a file, and have no place in the working tree.

    Attributes:
        path, digest: the version that ran.
        lines: how many.
        why: in a few words.
    """

    path: str
    digest: str
    lines: int
    why: str


@dataclass(frozen=True)
class Export:
    """All that is exported.

    Attributes:
        files: by path.
        left_out: by path and version.
        branches: whether branches are exported: they were measured in all that ran.
    """

    files: tuple[ExportedFile, ...]
    left_out: tuple[LeftOut, ...]
    branches: bool


@dataclass(frozen=True)
class _Placed:
    """What one run did, in the working tree's lines."""

    run: Run
    lines: frozenset[int]
    arcs: frozenset[Arc]


def export(evidence: Evidence, tree: Callable[[str], Source | None], branches: bool = True) -> Export:
    """Put what ran in its place.

    Args:
        tree: a path to the working tree's file, or None when there is none.
        branches: whether these are wanted, if they were measured in all that ran.
    """
    by_path: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        by_path[run.path].append(run)
    left: list[LeftOut] = []
    placed: dict[str, tuple[Source, list[_Placed]]] = {}
    for path in sorted(by_path):
        file = tree(path)
        if file is None or file.problem:
            why = "not in the working tree" if file is None else f"in the working tree, {file.problem}"
            left += _left(by_path[path], why)
            continue
        found: list[_Placed] = []
        by_digest: dict[str, list[Run]] = defaultdict(list)
        for run in by_path[path]:
            by_digest[run.digest].append(run)
        for digest in sorted(by_digest):
            found += _place(evidence, digest, by_digest[digest], file, left)
        if any(one.lines for one in found):
            placed[path] = (file, found)
    branches = branches and all(
        one.run.branches is not None for _, found in placed.values() for one in found if one.lines
    )
    files = tuple(_file(path, file, found, branches) for path, (file, found) in placed.items())
    return Export(files=files, left_out=tuple(left), branches=branches)


def _left(runs: Iterable[Run], why: str) -> Iterable[LeftOut]:
    lines: dict[tuple[str, str], set[int]] = defaultdict(set)
    for run in runs:
        lines[run.path, run.digest] |= run.lines
    for (path, digest), numbers in sorted(lines.items()):
        yield LeftOut(path, digest, len(numbers), why)


def _place(
    evidence: Evidence, digest: str, runs: list[Run], file: Source, left: list[LeftOut]
) -> list[_Placed]:
    """What the runs of one version did, placed; what has no place goes to ``left``."""
    path = file.path
    if digest == file.digest:
        return [_Placed(run, file.statements(run.lines), run.branches or frozenset()) for run in runs]
    old = evidence.source(path, digest) if digest else None
    if old is None or old.problem:
        left += _left(runs, "the text that ran is not known")
        return []
    moved = carried(old, file)
    ran = frozenset().union(*(old.statements(run.lines) for run in runs))
    if ran - moved.keys():
        why = "changed since, or outside of functions in a file that changed"
        left.append(LeftOut(path, digest, len(ran - moved.keys()), why))
    ways = carried_branches(old, file)
    return [
        _Placed(
            run,
            frozenset(moved[line] for line in old.statements(run.lines) if line in moved),
            frozenset(ways[arc] for arc in run.branches or () if arc in ways),
        )
        for run in runs
    ]


def _file(path: str, file: Source, placed: list[_Placed], branches: bool) -> ExportedFile:
    requests: dict[int, int] = defaultdict(int)
    weights: dict[int, float] = defaultdict(float)
    by_endpoint: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    ran: dict[str, set[int]] = defaultdict(set)
    arcs: dict[str, set[Arc]] = defaultdict(set)
    taken: dict[Arc, list[float]] = defaultdict(lambda: [0, 0.0])
    entered: dict[int, list[float]] = defaultdict(lambda: [0, 0.0])
    owner = {line: number for number, function in enumerate(file.functions) for line in function.body}
    for one in placed:
        run = one.run
        # A request has one run at most of a version of a file: sums over runs are sums over requests.
        for line in one.lines:
            requests[line] += run.requests
            weights[line] += run.weight
            by_endpoint[line][run.endpoint] += run.requests
        for number in {owner[line] for line in one.lines if line in owner}:
            entered[number][0] += run.requests
            entered[number][1] += run.weight
        for arc in one.arcs:
            taken[arc][0] += run.requests
            taken[arc][1] += run.weight
        if one.lines:
            ran[run.endpoint] |= one.lines
            arcs[run.endpoint] |= one.arcs
    return ExportedFile(
        path=path,
        digest=file.digest,
        lines=tuple(
            ExportedLine(line, requests[line], weights[line], dict(sorted(by_endpoint[line].items())))
            for line in sorted(file.executable)
        ),
        functions=tuple(
            ExportedFunction(function.name, function.line, int(entered[number][0]), entered[number][1])
            for number, function in enumerate(file.functions)
        ),
        branches=tuple(
            ExportedBranch(start, end, int(taken[start, end][0]), taken[start, end][1])
            for start, end in sorted(file.branches | file.other_branches)
        )
        if branches
        else None,
        ran={endpoint: frozenset(lines) for endpoint, lines in sorted(ran.items())},
        arcs={endpoint: frozenset(arcs[endpoint]) for endpoint in sorted(ran)} if branches else None,
    )
