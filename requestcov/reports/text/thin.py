"""Functions that many requests run a little of, as a table for a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.text import Text

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.statistics import FEW
from requestcov.analysis.thin import Thin
from requestcov.record import format_lines
from requestcov.reports.terminal import Name, counted, number, percent, write
from requestcov.reports.text.footing import footing, table


def write_thin(thin: Thin, evidence: Evidence, selection: Selection, stream: TextIO) -> None:
    """A row a function, with the lines that did not run.

    Raises:
        OSError: the stream cannot be written.
    """
    rows = table("function", "recorded", "share", "lines run", "thinness")
    rows.add_column("did not run", overflow="fold")
    for item in thin.functions:
        rows.add_row(
            Name(f"{item.path}:{item.line} {item.name}"),
            number(item.requests),
            percent(item.share),
            f"{number(item.executed)}/{number(item.executable)}",
            f"{item.thinness:.2f}",
            Text(format_lines(item.unrun).replace(",", ", ")),
        )
    notes = []
    if len(thin.functions) < thin.total:
        more = counted(thin.total - len(thin.functions), "further function")
        notes.append(f"{more} ran in part; --top shows more.")
    notes.append(
        "Thinness: share of requests that run the function (by weight) times the part of its lines that "
        f"none of them ran. {counted(thin.whole, 'function')} ran whole."
    )
    if 0 < thin.effective < FEW:
        few = counted(thin.effective, "request")
        notes.append(
            f"The records tell as much as {few} of equal weight: too few to say that a line does not run."
        )
    write(stream, [rows, *footing(evidence, selection, notes, thin.unread)])
