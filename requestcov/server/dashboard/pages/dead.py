"""Functions and lines that no recorded request ran, how sure that is, as a list to work off.

Laws: what is said of all requests is a bound, never a verdict of its own. An
item has a mark made of its file, its function and the function's text: a
browser that ticked it off knows it again, and not once it has changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from io import StringIO

from requestcov.analysis.dead import BOUND, MIN_DAYS, Dead, DeadFunction, DeadLines, Kind, Verdict, dead
from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.history import History
from requestcov.reports.markdown import write_dead
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import choice, sort, tag, text, whole
from requestcov.server.dashboard.tables import matching, table
from requestcov.server.dashboard.view import View

KINDS = {
    "all": "of every kind",
    "function": "functions",
    "lines": "lines of functions that run",
    "changed": "functions not run since edited",
    "imported": "functions of files only imported",
    "elsewhere": "functions that other requests run",
    "jobs": "functions that look like a command or a job",
    "excluded": "functions excluded from coverage",
}
"""``kind`` in the address -> in words."""

SURE = {"all": "of any", "dead": "watched enough", "unsure": "watched too little"}

BOUNDS = {"1": 0.01, "0.1": 0.001, "5": 0.05, "10": 0.1}
"""Percent in the address -> share of requests that a dead function's bound must not exceed."""
assert next(iter(BOUNDS.values())) == BOUND

FIELDS = (
    text("q"),
    text("endpoint"),
    text("path"),
    choice("kind", tuple(KINDS)),
    choice("sure", tuple(SURE)),
    choice("bound", tuple(BOUNDS)),
    whole("days", MIN_DAYS),
    sort("-size", "where", "-bound", "-days"),
    whole("at", 1),
)

SAID = {
    Kind.UNRUN: "not run",
    Kind.CHANGED: "not run since it was edited",
    Kind.IMPORTED: "its file is only imported",
    Kind.FILE: "its file never ran",
}

Key = tuple[str, str, str]
"""(path, qualified name, digest of the function's text)."""


@dataclass(frozen=True)
class Row:
    """Something to look at.

    Attributes:
        mark: by which a browser knows it again.
        kinds: keys of KINDS that it is of, besides ``all``.
        said: what it is, in words.
        where: ``17-24``, lines of the file.
        size: lines; None of an excluded function, whose lines are not counted.
        bound: the largest share of requests (of ``of``) that could run it; None: not judged.
        item: as the analysis has it; None of an excluded function.
    """

    mark: str
    path: str
    name: str
    line: int
    kinds: frozenset[str]
    said: str
    where: str
    size: int | None
    bound: float | None
    of: str
    days: int | None
    since: datetime | None
    requests: int | None
    sure: str
    reason: str | None
    item: DeadFunction | DeadLines | None


@dataclass(frozen=True)
class Answer:
    """What is dead, and the rows of it."""

    dead: Dead
    rows: Sequence[Row]


def dead_of(selection: Selection, bound: float = BOUND, days: int = MIN_DAYS) -> Question[Answer]:
    """What no request of the selection ran."""

    def compute(desk: Desk) -> Answer:
        evidence = desk.evidence(selection)
        found = dead(
            evidence,
            desk.holders(selection),
            bound=bound,
            min_days=days,
            reached_only=selection.endpoint is not None,
        )
        # Of all requests nothing is elsewhere; a narrowed question is held against all.
        elsewhere = frozenset[Key]() if selection == Selection() else desk.answer(LIVE)
        return Answer(found, tuple(_rows(found, _keys(evidence), elsewhere)))

    return Question("dead", (selection, bound, days), compute)


def _live(desk: Desk) -> frozenset[Key]:
    """The functions that any request ran, moved ones where they stand now."""
    evidence = desk.evidence(Selection())
    sources = (evidence.source(path, digest) for path, digest in evidence.newest.items())
    current = {source.path: source for source in sources if source is not None and not source.problem}
    history = History(current, evidence.texts, evidence.spans)
    ran: defaultdict[str, set[int]] = defaultdict(set)
    for run in evidence.runs:
        for path, line in history.placed(run.path, run.digest, run.lines):
            ran[path].add(line)
    keys = _keys(evidence)
    return frozenset(
        keys[path, function.line]
        for path, source in current.items()
        for function in source.functions
        if not function.body.isdisjoint(ran[path])
    )


LIVE = Question("live", None, _live)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    evidence = view.evidence()
    percent, days = str(view.filters["bound"]), view.filters.number("days") or MIN_DAYS
    answer = view.need(dead_of(view.selection, BOUNDS[percent], days))
    kind, sure, path = str(view.filters["kind"]), str(view.filters["sure"]), view.path
    files = Counter(row.path for row in answer.rows)
    fitting = matching(
        (
            row
            for row in answer.rows
            if (kind == "all" or kind in row.kinds)
            and (sure == "all" or row.sure == sure)
            and path in (None, row.path)
        ),
        view.filters.text("q"),
        lambda row: f"{row.path} {row.name}",
    )
    shown = table(
        view,
        fitting,
        {
            "where": lambda row: (row.path, row.line),
            "size": lambda row: row.size,
            "bound": lambda row: row.bound,
            "days": lambda row: row.days,
        },
    )
    return {
        "table": shown,
        "dead": answer.dead,
        "endpoint": view.endpoint,
        "path": path,
        "files": [(tag(name), name, count) for name, count in sorted(files.items())],
        "kind": kind,
        "kinds": [
            (name, said, sum(1 for row in answer.rows if name == "all" or name in row.kinds))
            for name, said in KINDS.items()
        ],
        "sure": sure,
        "sures": [
            (name, said, sum(1 for row in answer.rows if name in ("all", row.sure)))
            for name, said in SURE.items()
        ],
        "percent": percent,
        "percents": sorted(BOUNDS, key=BOUNDS.__getitem__),
        "days": days,
        "marks": " ".join(row.mark for row in fitting),
        "clear": view.here(q=None, path=None, kind=None, sure=None, at=None),
        "markdown": _markdown(answer.dead, fitting, evidence, view.selection),
    }


def _markdown(found: Dead, rows: Iterable[Row], evidence: Evidence, selection: Selection) -> list[str]:
    """The checklist of the rows that the filters leave."""
    items = [row.item for row in rows]
    written = StringIO()
    write_dead(
        replace(
            found,
            functions=tuple(item for item in items if isinstance(item, DeadFunction)),
            lines=tuple(item for item in items if isinstance(item, DeadLines)),
        ),
        evidence,
        selection,
        written,
    )
    return written.getvalue().removesuffix("\n").split("\n")


def _keys(evidence: Evidence) -> dict[tuple[str, int], Key]:
    """(path, line of the ``def``) -> what a function is known by."""
    found = {}
    for path, digest in evidence.newest.items():
        source = evidence.source(path, digest)
        for function in source.functions if source is not None else ():
            told = function.text.encode("utf-8", "surrogatepass")
            found[path, function.line] = path, function.name, blake2b(told, digest_size=16).hexdigest()
    return found


def _rows(found: Dead, keys: Mapping[tuple[str, int], Key], elsewhere: frozenset[Key]) -> Iterator[Row]:
    marks: Counter[str] = Counter()

    def mark(kind: str, path: str, line: int) -> str:
        told = "\0".join((kind, *keys[path, line])).encode("utf-8", "surrogatepass")
        made = blake2b(told, digest_size=8).hexdigest()
        marks[made] += 1  # of two that are the same function in every word, each has its own
        return made if marks[made] == 1 else f"{made}-{marks[made]}"

    for item in found.functions:
        runs = keys[item.path, item.line] in elsewhere
        kinds = {
            "function",
            *({"elsewhere"} if runs else ()),
            *({"jobs"} if item.hint else ()),
            *_KIND.get(item.kind, ()),
        }
        yield Row(
            mark=mark("function", item.path, item.line),
            path=item.path,
            name=item.name,
            line=item.line,
            kinds=frozenset(kinds),
            said="run by other requests than these" if runs else SAID[item.kind],
            where=f"{item.line}-{item.end}",
            size=item.size,
            bound=item.watch.bound,
            of="requests",
            days=item.watch.days,
            since=item.watch.since,
            requests=item.watch.requests,
            sure="dead" if item.verdict is Verdict.DEAD else "unsure",
            reason="; ".join(filter(None, (item.reason, item.hint))) or None,
            item=item,
        )
    for part in found.lines:
        yield Row(
            mark=mark("lines", part.path, part.line),
            path=part.path,
            name=part.name,
            line=part.line,
            kinds=frozenset({"lines"}),
            said="lines of a function that runs",
            where=part.lines,
            size=part.size,
            bound=part.bound,
            of="requests of the function",
            days=part.days,
            since=part.since,
            requests=part.requests,
            sure="dead" if part.verdict is Verdict.DEAD else "unsure",
            reason=None
            if part.verdict is Verdict.DEAD
            else "too few requests of the function, or too few days",
            item=part,
        )
    for out in found.excluded:
        yield Row(
            mark=mark("excluded", out.path, out.line),
            path=out.path,
            name=out.name,
            line=out.line,
            kinds=frozenset({"excluded"}),
            said="excluded from coverage, so not judged",
            where=str(out.line),
            size=None,
            bound=None,
            of="requests",
            days=None,
            since=None,
            requests=None,
            sure="unsure",
            reason=None,
            item=None,
        )


_KIND = {Kind.CHANGED: {"changed"}, Kind.IMPORTED: {"imported"}}
