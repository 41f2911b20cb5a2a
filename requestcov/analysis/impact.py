"""Which endpoints run the lines that a diff changes, and which of those lines does nobody run?

Laws: a changed line is looked for in the old text of its file, and recorded
runs come to that text by digest or by unchanged function, never by a bare
line number. What could not be placed is told. A request counts once however
many changed lines it ran: of one file by its blocks, of which it has one at
most a version; of several by the requests' own rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from requestcov._diff import Change, FileDiff
from requestcov._source import Function, Source
from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.statistics import fraction_of
from requestcov.storage.results import Ran


class Through(Enum):
    """By what the requests that a changed line concerns are found."""

    LINE = "line"
    AROUND = "around"
    FUNCTION = "function"
    IMPORT = "import"
    NOTHING = "nothing"


@dataclass(frozen=True)
class ChangedLine:
    """A line that was removed or modified, or the place where lines were put in.

    Attributes:
        line: its number in the old text; of added lines, that of the line before them (0: the top).
        added: how many lines were put in there; 0 for a removed or modified line.
        text: the old line, or the first of those added that is not blank.
        function: qualified name of the function it is in, or None.
        through: ``line``: the requests that ran its statement; ``around``: that ran the statement
            before or after the added lines; ``function``: that ran any of the function, for its
            ``def``, decorators and added lines without neighbours; ``import``: it runs when the
            module is imported; ``nothing``: a comment, a docstring, a blank line.
        requests: recorded requests that it concerns.
        share: their part of the weight of all requests, 0 to 1.
        endpoints: theirs, sorted.
        last: when last: of the last day, the endpoint's last request; None: never.
    """

    line: int
    added: int
    text: str
    function: str | None
    through: Through
    requests: int
    share: float
    endpoints: tuple[str, ...]
    last: datetime | None

    @property
    def unrun(self) -> bool:
        """Whether requests could run it and none did."""
        return self.through in (Through.LINE, Through.AROUND, Through.FUNCTION) and not self.requests


@dataclass(frozen=True)
class ChangedFile:
    """What a diff does to one file, and who runs it.

    Attributes:
        path: its old name, as in the store where it is there; a new file's new name.
        new_path: its new name; None: it is deleted.
        status: ``modified``, ``new``, ``deleted``, ``renamed``, ``binary`` or ``mode``.
        ran: whether any recorded request ran it.
        lines: the changed lines, ascending; empty when they cannot be judged.
        unplaced: recorded requests that ran a changed function, or the file, in a version whose
            lines have no place in the old text.
        problem: why its lines cannot be judged, or None.
    """

    path: str
    new_path: str | None
    status: str
    ran: bool
    lines: tuple[ChangedLine, ...]
    unplaced: int
    problem: str | None


@dataclass(frozen=True)
class Concerned:
    """An endpoint some of whose requests ran a changed line.

    Attributes:
        requests: recorded ones that did.
        weight: how many they stand for.
        of_endpoint: their part of the weight of the endpoint's requests.
        share: their part of the weight of all requests.
        last: when last; within the day, that of the endpoint's last request.
        lines: how many of the changed lines they ran.
    """

    endpoint: str
    requests: int
    weight: float
    of_endpoint: float
    share: float
    last: datetime | None
    lines: int


@dataclass(frozen=True)
class Impact:
    """Whom a change concerns.

    Attributes:
        endpoints: by falling share of all traffic.
        files: in the order of the diff.
    """

    endpoints: tuple[Concerned, ...]
    files: tuple[ChangedFile, ...]

    @property
    def share(self) -> float:
        """Of all requests by weight, those that ran a changed line."""
        return min(1.0, sum(endpoint.share for endpoint in self.endpoints))

    @property
    def unrun(self) -> int:
        """How many changed lines requests could run and none did."""
        return sum(line.unrun for file in self.files for line in file.lines)


@dataclass(frozen=True)
class OldFile:
    """A file of a diff, and its old text.

    Attributes:
        path: the old name, as the store has it if it does.
        source: the old text; None: it is not to be had, or there is none.
        problem: why not, or None.
    """

    diff: FileDiff
    path: str
    source: Source | None
    problem: str | None = None


@dataclass
class _Touched:
    """A changed line before anybody was asked who ran it."""

    line: int
    added: int
    text: str
    function: str | None
    through: Through
    statements: frozenset[int] = frozenset()


@dataclass
class _Found:
    """Blocks that hold a changed line, of one endpoint."""

    blocks: dict[str, dict[int, Run]] = field(default_factory=lambda: defaultdict(dict))
    lines: set[tuple[str, int, int]] = field(default_factory=set)


def impact(
    evidence: Evidence, files: Iterable[OldFile], ran: Callable[[str | None, Set[int]], list[Ran]]
) -> Impact:
    """Who runs the changed lines.

    Args:
        evidence: of the requests asked about.
        files: the diff's, each with its old text.
        ran: who ran any of some blocks; asked for endpoints that run several of the files.
    """
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        runs[run.path].append(run)
    found: dict[str, _Found] = defaultdict(_Found)
    judged = tuple(_file(evidence, file, runs.get(file.path, ()), found) for file in files)
    concerned = [_concerned(evidence, endpoint, who, ran) for endpoint, who in found.items()]
    return Impact(tuple(sorted(concerned, key=lambda one: (-one.share, one.endpoint))), judged)


def _file(evidence: Evidence, file: OldFile, runs: Sequence[Run], found: Mapping[str, _Found]) -> ChangedFile:
    source, problem = file.source, file.problem
    if source is not None and source.problem:
        problem = source.problem
        source = None
    lines: list[ChangedLine] = []
    unplaced = 0
    if source is not None and file.diff.changes:
        placed = evidence.against(source)
        touched = [one for change in file.diff.changes for one in _touched(source, change)]
        where = [(run, placed.placed(run)) for run in runs]
        lines = [_line(evidence, source.path, one, where, found) for one in touched]
        names = {one.function for one in touched if one.statements}
        unplaced = sum(run.requests for run in runs if _lost(placed, run, names))
    diff = file.diff
    return ChangedFile(file.path, diff.new, diff.status, bool(runs), tuple(lines), unplaced, problem)


def _line(
    evidence: Evidence,
    path: str,
    one: _Touched,
    where: Sequence[tuple[Run, frozenset[int]]],
    found: Mapping[str, _Found],
) -> ChangedLine:
    mine = [run for run, lines in where if not lines.isdisjoint(one.statements)]
    for run in mine:
        who = found[run.endpoint]
        who.lines.add((path, one.line, one.added))
        if run.block is not None:
            who.blocks[path][run.block] = run
    return ChangedLine(
        one.line,
        one.added,
        one.text,
        one.function,
        one.through,
        sum(run.requests for run in mine),
        fraction_of(sum(run.weight for run in mine), evidence.footing.weight),
        tuple(sorted({run.endpoint for run in mine})),
        max((run.last for run in mine if run.last), default=None),
    )


def _concerned(
    evidence: Evidence, endpoint: str, who: _Found, ran: Callable[[str | None, Set[int]], list[Ran]]
) -> Concerned:
    counted: Sequence[Run | Ran]
    if len(who.blocks) == 1:
        counted = [run for blocks in who.blocks.values() for run in blocks.values()]
    else:
        counted = ran(endpoint, {number for blocks in who.blocks.values() for number in blocks})
    weight = sum(part.weight for part in counted)
    counts = evidence.counts.get(endpoint)
    return Concerned(
        endpoint,
        sum(part.requests for part in counted),
        weight,
        fraction_of(weight, counts.weight if counts else 0.0),
        fraction_of(weight, evidence.footing.weight),
        max((part.last for part in counted if part.last), default=None),
        len(who.lines),
    )


def _lost(placed: Evidence, run: Run, names: Set[str | None]) -> bool:
    """Whether a run may have executed the old text of a changed line's function, and cannot tell."""
    lost = placed.lost_functions(run)
    return lost is None or any(function.name in names for function in lost)


def _touched(source: Source, change: Change) -> Iterator[_Touched]:
    told = [_removed(source, number) for number in change.removed]
    code = [line for line in change.added if line.strip() and not line.lstrip().startswith("#")]
    replaced = any(one.through is not Through.NOTHING for one in told)
    yield from told
    if change.added and not replaced:
        # Where comments alone gave way to code, the code was put in.
        yield _inserted(source, change, code)


def _removed(source: Source, number: int) -> _Touched:
    text = source.lines[number - 1] if number <= len(source.lines) else ""
    statement = source.first.get(number, number)
    blank = not text.strip() or (text.lstrip().startswith("#") and statement == number)
    if statement in source.bodies and not blank:
        name = source.owner[statement].name
        return _Touched(number, 0, text, name, Through.LINE, frozenset({statement}))
    function = None if blank else _head(source, number, statement)
    if function is not None:
        return _Touched(number, 0, text, function.name, Through.FUNCTION, function.body)
    inside = _around(source, number)
    through = Through.IMPORT if statement in source.executable and not blank else Through.NOTHING
    return _Touched(number, 0, text, inside.name if inside else None, through)


def _head(source: Source, number: int, statement: int) -> Function | None:
    """The function whose ``def`` or decorators a line belongs to, if it has a body of its own lines."""
    for function in source.functions:
        if function.line <= number < function.start and function.body:
            return function
    if statement in source.executable and _decorates(source.lines[statement - 1]):
        # coverage.py's parser files a def under its first decorator's line or its own, by version.
        for line in range(statement + 1, len(source.lines) + 1):
            for function in source.functions:
                if function.line == line and function.body:
                    return function
            if line in source.executable and not _decorates(source.lines[line - 1]):
                return None
    return None


def _inserted(source: Source, change: Change, code: Sequence[str]) -> _Touched:
    before, after = change.after + len(change.removed), change.after + len(change.removed) + 1
    text = next((line for line in (*code, *change.added) if line.strip()), "")
    added = len(change.added)
    statement = source.first.get(before, before)
    if statement in source.bodies and source.first.get(after, after) == statement:
        # In the midst of a statement of several lines: that is modified.
        name = source.owner[statement].name
        return _Touched(change.after, added, text, name, Through.LINE, frozenset({statement}))
    if code and _decorates(code[0]) and not any(_defines(line) for line in code):
        decorated = _head(source, after, source.first.get(after, after))
        if decorated is not None:
            body = decorated.body
            return _Touched(change.after, added, text, decorated.name, Through.FUNCTION, body)
    function = _home(source, before, after, code)
    if function is None or not code:
        through = Through.IMPORT if code else Through.NOTHING
        return _Touched(change.after, added, text, function.name if function else None, through)
    earlier = [line for line in function.body if line <= before]
    later = [line for line in function.body if line >= after]
    near = frozenset([*([max(earlier)] if earlier else []), *([min(later)] if later else [])])
    if near:
        return _Touched(change.after, added, text, function.name, Through.AROUND, near)
    return _Touched(change.after, added, text, function.name, Through.FUNCTION, function.body)


def _home(source: Source, before: int, after: int, code: Sequence[str]) -> Function | None:
    """The innermost function that lines put in between two others belong to."""
    indent = _indent(code[0]) if code else 0
    inner = [
        f
        for f in source.functions
        if f.line <= before and (after <= f.end or _follows(source, f, before))
        if _indent(source.lines[f.line - 1]) < indent or not code
    ]
    return max(inner, key=lambda f: f.line, default=None)


def _follows(source: Source, function: Function, before: int) -> bool:
    """Whether there are but blank lines and comments between a function's end and a line."""
    between = source.lines[function.end : before]
    return all(not line.strip() or line.lstrip().startswith("#") for line in between)


def _around(source: Source, number: int) -> Function | None:
    inner = [f for f in source.functions if f.line <= number <= f.end]
    return max(inner, key=lambda f: f.line, default=None)


def _decorates(line: str) -> bool:
    return line.lstrip().startswith("@")


def _defines(line: str) -> bool:
    return line.lstrip().startswith(("def ", "async def ", "class "))


def _indent(line: str) -> int:
    expanded = line.expandtabs()
    return len(expanded) - len(expanded.lstrip())
