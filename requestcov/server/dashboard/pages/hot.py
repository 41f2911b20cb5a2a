"""What most requests run: functions, or single lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from requestcov.analysis.evidence import Selection
from requestcov.analysis.hot import Hot, HotFunction, HotLine, hot_functions, hot_lines
from requestcov.analysis.statistics import FEW
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import choice, sort, text, whole
from requestcov.server.dashboard.tables import table
from requestcov.server.dashboard.view import View

FIELDS = (
    text("q"),
    text("endpoint"),
    choice("by", ("function", "line")),
    sort("-share", "where", "-endpoints", "-recorded"),
    whole("at", 1),
)


@dataclass(frozen=True)
class Row:
    """A function, or a line of one.

    Attributes:
        earlier: share of requests that ran it with another body, 0 to 1.
        text: of a line; ``""`` of a function.
    """

    one: HotFunction | HotLine
    function: str
    earlier: float
    text: str


def hot_of(selection: Selection, by: str) -> Question[Hot]:
    """Functions or lines by the share of requests that run them."""

    def compute(desk: Desk) -> Hot:
        return (hot_functions if by == "function" else hot_lines)(desk.evidence(selection))

    return Question("hot", (selection, by), compute)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    by = str(view.filters["by"])
    view.evidence()
    hot = view.need(hot_of(view.selection, by))
    # The two differ in what they are called by alone.
    rows = [
        *(Row(one, one.name, one.earlier, "") for one in hot.functions),
        *(Row(one, one.function, 0.0, one.text) for one in hot.lines),
    ]
    shown = table(
        view,
        rows,
        {
            "where": lambda row: (row.one.path, row.one.line),
            "endpoints": lambda row: len(row.one.endpoints),
            "recorded": lambda row: row.one.requests,
            "share": lambda row: row.one.share + row.earlier,
        },
        searched=lambda row: f"{row.one.path} {row.function} {row.text}",
    )
    return {
        "table": shown,
        "hot": hot,
        "few": hot.effective < FEW,
        "by": by,
        "endpoint": view.endpoint,
        "switches": [
            (view.here(by=name if at else None, at=None), f"{name}s", name == by)
            for at, name in enumerate(("function", "line"))
        ],
        "unread": hot.unread,
    }
