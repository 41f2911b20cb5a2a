"""Who ran a line: endpoints, releases, the latest requests with their traces, and when first and last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from requestcov.analysis.evidence import Selection
from requestcov.analysis.gather import latest
from requestcov.analysis.who import Who, place, who
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import Refused, text, whole
from requestcov.server.dashboard.view import View

FIELDS = (text("path"), text("endpoint"), whole("line"))

RECENT = 20
"""Latest requests that are named."""

AROUND = 3
"""Lines of source above and below."""


@dataclass(frozen=True)
class Answer:
    """Who ran it, or the sentence that says why nobody can be said to.

    Attributes:
        around: (line, text) of the lines near it.
        last: number of the text's last line; 0 when there is no text.
    """

    who: Who | None
    problem: str | None
    around: tuple[tuple[int, str], ...]
    last: int


def who_ran(selection: Selection, path: str, line: int) -> Question[Answer]:
    """The answer about a line of the file's newest version."""

    def compute(desk: Desk) -> Answer:
        evidence = desk.evidence(selection)
        if path not in evidence.newest:
            return Answer(None, "No recorded request of these ran this file.", (), 0)
        source = evidence.source(path, evidence.newest[path])
        if source is None:
            return Answer(None, "The text of this file is not at hand: a line of it cannot be placed.", (), 0)
        near = range(max(1, line - AROUND), min(len(source.lines), line + AROUND) + 1)
        around = tuple((number, source.lines[number - 1].expandtabs()) for number in near)
        where = place(evidence, source, line)
        if isinstance(where, str):
            begun = where if where.startswith(path) else where[:1].upper() + where[1:]
            return Answer(None, begun, around, len(source.lines))
        ran = desk.runners(selection)(selection.endpoint, where.blocks) if where.blocks else []
        recent = latest(desk.place, selection, ran, RECENT)
        return Answer(who(evidence, where, line, ran, recent), None, around, len(source.lines))

    return Question("who", (selection, path, line), compute)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    line = view.filters.number("line")
    if view.path is None or line is None:
        raise Refused(
            "This page is about a line: give its file and number, as in ?path=shop/views.py&line=17."
        )
    view.evidence()
    answer = view.need(who_ran(view.selection, view.path, line))
    found = answer.who
    notes = []
    if found is not None and not found.exact:
        notes.append(
            "Rows of requests are no longer kept for some days: times there are the days' first and last."
        )
    if found is not None and found.unplaced:
        notes.append(
            f"{found.unplaced:,} recorded requests ran another text of the function, or one that is not "
            "at hand: whether this line cannot be said."
        )
    return {
        "title": f"{view.path}:{line}",
        "path": view.path,
        "line": line,
        "endpoint": view.endpoint,
        "answer": answer,
        "who": found,
        "notes": notes,
    }
