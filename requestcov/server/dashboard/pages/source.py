"""A file's source, each line as warm as requests, failing requests or endpoints run it.

Laws: what a colour says stands beside the line in figures; a line has an
anchor, ``#L12``; of a long file a part is shown, and a link to a line shows
the part it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from requestcov.analysis.evidence import Evidence, Selection, counted
from requestcov.analysis.listing import Kind, Line, Listing, of_file
from requestcov.analysis.statistics import fraction_of
from requestcov.record import format_lines
from requestcov.reports.terminal import number, percent
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import Refused, Unknown, choice, text, whole
from requestcov.server.dashboard.view import View

BY = {
    "requests": "requests",
    "failing": "failing requests",
    "endpoint": "endpoints",
}
"""What makes a line warm -> what the gutter counts."""

FIELDS = (text("path"), text("endpoint"), choice("by", tuple(BY)), whole("line"))

STEPS = 8
"""Shades, besides the one of none."""

PART = 3000
"""Lines that are shown at a time."""


@dataclass(frozen=True)
class Row:
    """One line.

    Attributes:
        number: from 1.
        kind: a class: ``h1`` to ``h8`` by share, ``h0`` for a line that ran in other requests only,
            ``missed``, ``import``, or none.
        count, share: in figures; empty where the line is not counted.
        endpoints: their numbers in the file's list, as ranges.
        text: as written, tabs expanded.
    """

    number: int
    kind: str
    count: str
    share: str
    endpoints: str
    text: str


@dataclass(frozen=True)
class Warm:
    """A function, as warm as its warmest line.

    Attributes:
        name, line: qualified name, and where its ``def`` is.
        kind, share: as of a row.
    """

    name: str
    line: int
    kind: str
    share: str


@dataclass(frozen=True)
class Heat:
    """A file as all requests ran it, and the measure of each line's warmth.

    Attributes:
        listing: of all requests of the selection; None: none of them ran the file.
        warmth: statement's line -> (count, part of the whole from 0 to 1).
        whole: what all parts are of: requests, failing requests, or endpoints that ran the file.
        functions: those that ran, in the order of the text.
    """

    listing: Listing | None
    warmth: Mapping[int, tuple[int, float]]
    whole: int
    functions: Sequence[Warm] = ()


def heat_of(selection: Selection, path: str, by: str) -> Question[Heat]:
    """The warmth of a file's lines."""

    def compute(desk: Desk) -> Heat:
        evidence = desk.evidence(selection, by_failed=by == "failing")
        heat = _heat(evidence, path, by)
        return replace(heat, functions=tuple(_functions(heat, evidence, path)))

    return Question("heat", (selection, path, by), compute)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    if view.path is None:
        raise Refused("This page shows a file: give its path, as in ?path=shop/views.py.")
    by = str(view.filters["by"])
    view.evidence(by_failed=by == "failing")
    heat = view.need(heat_of(view.selection, view.path, by))
    listing = heat.listing
    if (listing is None or listing.problem is not None) and view.desk.source.leads_out(view.path):
        raise Unknown("The store has no text of this file, and its name leads out of the root.")
    lines = listing.lines if listing is not None else ()
    line = view.filters.number("line") or 1
    start = (min(line, max(1, len(lines))) - 1) // PART * PART
    numbers = {name: at for at, name in enumerate(listing.endpoints if listing is not None else (), 1)}
    return {
        "title": view.path,
        "path": view.path,
        "endpoint": view.endpoint,
        "heat": heat,
        "listing": listing,
        "rows": _rows(lines[start : start + PART], heat.warmth, numbers),
        "numbers": numbers,
        "by": by,
        "switches": [
            (name, label, view.here(by=name if at else None), name == by)
            for at, (name, label) in enumerate(BY.items())
        ],
        "parts": [
            (first + 1, min(first + PART, len(lines)), view.here(line=first + 1), first == start)
            for first in range(0, len(lines), PART)
        ],
        "steps": STEPS,
        "anchor": lambda at: view.here(line=at if len(lines) > PART else None) + f"#L{at}",
        "recorded": format_lines(listing.recorded) if listing is not None else "",
    }


def _heat(evidence: Evidence, path: str, by: str) -> Heat:
    if path not in evidence.newest:
        return Heat(None, {}, 0)
    listing = of_file(evidence, path)
    counted_here = list(_counted(listing.lines))
    if by == "endpoint":
        whole = len(listing.endpoints)
        share = {line.number: fraction_of(len(line.endpoints), whole) for line in counted_here}
        return Heat(
            listing, {line.number: (len(line.endpoints), share[line.number]) for line in counted_here}, whole
        )
    whole, own = evidence.footing.records, listing
    if by == "failing":
        failed = [outcome for outcome in evidence.outcomes if outcome.failed]
        whole = sum(outcome.requests for outcome in failed)
        runs = [run for run in evidence.runs if run.failed and run.path == path]
        if not runs:
            return Heat(listing, {}, whole)
        counts = counted(failed, lambda outcome: outcome.endpoint)
        own = of_file(replace(evidence, runs=runs, counts=counts), path)
    return Heat(listing, {line.number: (line.requests, line.share) for line in _counted(own.lines)}, whole)


def _functions(heat: Heat, evidence: Evidence, path: str) -> Iterator[Warm]:
    if heat.listing is None:
        return
    source = evidence.source(path, heat.listing.digest)
    ran = {line.number for line in _counted(heat.listing.lines)}
    for function in source.functions if source is not None else ():
        if not function.body.isdisjoint(ran):
            count, share = max(heat.warmth.get(line, (0, 0.0)) for line in function.body & ran)
            yield Warm(function.name, function.line, _kind(count, share), percent(share))


def _kind(count: int, share: float) -> str:
    return f"h{max(1, round(STEPS * share)) if count else 0}"


def _counted(lines: Sequence[Line]) -> Iterator[Line]:
    return (line for line in lines if line.kind is Kind.EXECUTED and line.number == line.statement)


def _rows(
    lines: Sequence[Line], warmth: Mapping[int, tuple[int, float]], numbers: Mapping[str, int]
) -> Iterator[Row]:
    for line in lines:
        text = line.text.expandtabs()
        first = line.number == line.statement
        if line.kind is Kind.EXECUTED:
            count, share = warmth.get(line.statement, (0, 0.0))
            endpoints = format_lines(numbers[name] for name in line.endpoints) if first else ""
            yield Row(
                line.number,
                _kind(count, share),
                number(count) if first else "",
                percent(share) if first else "",
                endpoints,
                text,
            )
        elif line.kind is Kind.MISSED:
            yield Row(line.number, "missed", "", "not run" if first else "", "", text)
        else:
            kind = "import" if line.kind is Kind.IMPORT and first else ""
            yield Row(line.number, kind, "", "", "", text)
