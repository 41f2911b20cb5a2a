"""What most requests run, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.text import Text

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.hot import Hot
from requestcov.analysis.statistics import FEW
from requestcov.reports.terminal import Name, clean, counted, number, percent, write
from requestcov.reports.text.footing import footing, table


def write_functions(hot: Hot, evidence: Evidence, selection: Selection, stream: TextIO) -> None:
    """A row a function.

    Raises:
        OSError: the stream cannot be written.
    """
    # A function that a deploy has changed is not cold for that: what ran before has a column.
    changed = any(item.earlier for item in hot.functions)
    rows = table("function", "endpoints", "recorded", "share", *(["earlier text"] if changed else []))
    for item in hot.functions:
        rows.add_row(
            Name(f"{item.path}:{item.line} {item.name}"),
            number(len(item.endpoints)),
            number(item.requests),
            percent(item.share),
            *([percent(item.earlier) if item.earlier else "-"] if changed else []),
        )
    notes = list(_notes(hot, len(hot.functions), "function"))
    if changed:
        notes.append("Earlier text: the share that ran a function of that name before it was changed.")
    write(stream, [rows, *footing(evidence, selection, notes, hot.unread)])


def write_lines(hot: Hot, evidence: Evidence, selection: Selection, stream: TextIO) -> None:
    """A row a line, with its text.

    Raises:
        OSError: the stream cannot be written.
    """
    rows = table("line", "endpoints", "recorded", "share")
    rows.add_column("text", overflow="fold")
    for item in hot.lines:
        rows.add_row(
            Name(f"{item.path}:{item.line} {item.function}"),
            number(len(item.endpoints)),
            number(item.requests),
            percent(item.share),
            Text(clean(item.text.expandtabs())),
        )
    notes = _notes(hot, len(hot.lines), "line")
    write(stream, [rows, *footing(evidence, selection, notes, hot.unread)])


def _notes(hot: Hot, shown: int, noun: str) -> Iterator[str]:
    if shown < hot.total:
        yield f"{counted(hot.total - shown, f'further {noun}')} ran; --top shows more."
    what = "any line of the function" if noun == "function" else "the line"
    yield f"Share: the part of all requests that ran {what}, by weight."
    if hot.effective:
        same = counted(hot.effective, "request")
        told = (
            "too few for a share to be more than a hint."
            if hot.effective < FEW
            else f"about 95 times in 100 a share is off by {100 * hot.margin:.1f} points at most."
        )
        yield f"By their weights the records tell as much as {same} of equal weight: {told}"
