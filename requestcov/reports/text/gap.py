"""Production beside a test-suite, for a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.gap import FunctionGap, Gap
from requestcov.record import format_lines
from requestcov.reports.terminal import Name, clean, counted, number, percent, write
from requestcov.reports.text.footing import doubts, footing, table

SHOWN = 20
"""Functions a table, at most: what is below is rarely read."""


def write_gap(answer: Gap, evidence: Evidence, selection: Selection, stream: TextIO) -> None:
    """By endpoint, then the functions on either side.

    Raises:
        OSError: the stream cannot be written.
    """
    rows = table("endpoint", "traffic", "lines run", "untested", "exposure")
    for one in answer.endpoints:
        rows.add_row(
            Name(one.endpoint),
            percent(one.share),
            number(one.lines),
            number(one.untested),
            percent(one.exposure),
        )
    parts: list[RenderableType] = [rows, "", Text("Run by requests, not by tests", style="bold")]
    hot = table("function", "traffic", "requests", "lines")
    for gap in answer.untested[:SHOWN]:
        hot.add_row(_name(gap), percent(gap.hot), number(gap.requests), format_lines(gap.untested))
    parts.append(hot if answer.untested else Text("nothing", style="dim"))
    parts += _more(len(answer.untested))
    parts += ["", Text("Run by tests, by no recorded request", style="bold")]
    cold = table("function", "traffic", "lines")
    for gap in answer.unrun[:SHOWN]:
        cold.add_row(_name(gap), percent(gap.share), format_lines(gap.unrun))
    parts.append(cold if answer.unrun else Text("nothing", style="dim"))
    parts += _more(len(answer.unrun))
    notes = [
        "Exposure: of all the times that an endpoint's requests ran a line, those on lines that no test ran. "
        "Traffic: of all requests by weight; of untested lines those that ran one, of unrun ones those that "
        "ran the function at all. Lines are of the text that the tests are taken to have run (--tests-root)."
    ]
    notes += [f"{one.path}: not compared, {one.problem}." for one in answer.not_compared]
    notes += [f"Perhaps not the text that the tests ran: {said}." for said in doubts(answer.doubtful)]
    if answer.unplaced:
        notes.append(
            f"{counted(answer.unplaced, 'recorded run')} of a file had lines with no place in the file here: "
            "the function has changed, or its text is not at hand."
        )
    if answer.unmatched:
        notes.append(f"{counted(answer.unmatched, 'file')} of the data are outside of what is measured here.")
    write(stream, [*parts, *footing(evidence, selection, notes)])


def _name(gap: FunctionGap) -> Name:
    return Name(clean(f"{gap.path}:{gap.line} {gap.name}"))


def _more(functions: int) -> list[RenderableType]:
    more = functions - SHOWN
    return [Text(f"and {counted(more, 'function')} more: --format json", style="dim")] if more > 0 else []
