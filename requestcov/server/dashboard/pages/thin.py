"""Functions that run in many requests, though few of their lines ever do."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.analysis.evidence import Selection
from requestcov.analysis.statistics import FEW
from requestcov.analysis.thin import Thin, thin_functions
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.filters import sort, text, whole
from requestcov.server.dashboard.tables import table
from requestcov.server.dashboard.view import View

FIELDS = (
    text("q"),
    text("endpoint"),
    sort("-thinness", "where", "-share", "-unrun"),
    whole("at", 1),
)


def thin_of(selection: Selection) -> Question[Thin]:
    """Functions by thinness."""
    return Question("thin", selection, lambda desk: thin_functions(desk.evidence(selection)))


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    view.evidence()
    thin = view.need(thin_of(view.selection))
    shown = table(
        view,
        thin.functions,
        {
            "where": lambda one: (one.path, one.line),
            "share": lambda one: one.share,
            "unrun": lambda one: len(one.unrun),
            "thinness": lambda one: one.thinness,
        },
        searched=lambda one: f"{one.path} {one.name}",
    )
    return {
        "table": shown,
        "thin": thin,
        "few": thin.effective < FEW,
        "endpoint": view.endpoint,
        "unread": thin.unread,
    }
