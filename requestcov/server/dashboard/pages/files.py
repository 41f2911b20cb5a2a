"""Every file that requests ran, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.analysis.coverage import by_file
from requestcov.analysis.coverage_results import FileCoverage
from requestcov.analysis.evidence import Selection
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import sort, text, whole
from requestcov.server.dashboard.tables import table
from requestcov.server.dashboard.view import View

FIELDS = (
    text("q"),
    text("endpoint"),
    sort("path", "-endpoints", "-functions", "-lines", "coverage"),
    whole("at", 1),
)


def files_of(selection: Selection) -> Question[tuple[FileCoverage, ...]]:
    """Coverage by file."""

    def compute(desk: Desk) -> tuple[FileCoverage, ...]:
        return by_file(desk.evidence(selection))

    return Question("files", selection, compute)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    view.evidence()
    results = view.need(files_of(view.selection))
    shown = table(
        view,
        results,
        {
            "path": lambda file: file.path,
            "endpoints": lambda file: len(file.endpoints),
            "functions": lambda file: len(file.functions) if file.problem is None else None,
            "lines": lambda file: file.executable if file.problem is None else None,
            "coverage": lambda file: file.coverage if file.problem is None else None,
        },
        searched=lambda file: file.path,
    )
    return {
        "table": shown,
        "endpoint": view.endpoint,
        "branched": any(file.branches is not None for file in results),
        "notes": [f"{file.path}: {file.problem}." for file in shown.rows if file.problem],
    }
