"""Coverage of endpoints or files as a table for a terminal, and what it stands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.text import Text

from requestcov.analysis.coverage import EndpointCoverage, FileCoverage
from requestcov.analysis.evidence import Evidence, Selection
from requestcov.reports.terminal import Name, number, percent, write
from requestcov.reports.text.footing import footing, table


def write_endpoints(
    results: Sequence[EndpointCoverage], evidence: Evidence, selection: Selection, stream: TextIO
) -> None:
    """A row an endpoint.

    Raises:
        OSError: the stream cannot be written.
    """
    rows = table("endpoint", "seen", "recorded", "failed", "lines run", "coverage")
    for result in results:
        rows.add_row(
            Name(result.endpoint),
            number(result.seen),
            number(result.recorded),
            _failures(result.failed),
            f"{number(result.executed)}/{number(result.executable)}" if result.executable else "-",
            _coverage(result.coverage),
        )
    unread = sum(result.unread for result in results)
    notes = ["Coverage: lines run / lines of the functions that the endpoint reached."]
    write(stream, [rows, *footing(evidence, selection, notes, unread)])


def write_files(
    results: Sequence[FileCoverage], evidence: Evidence, selection: Selection, stream: TextIO
) -> None:
    """A row a file.

    Raises:
        OSError: the stream cannot be written.
    """
    rows = table("file", "endpoints", "functions", "lines run", "coverage")
    for result in results:
        reached = sum(1 for function in result.functions if function.executed)
        known = result.problem is None
        rows.add_row(
            Name(result.path),
            number(len(result.endpoints)),
            f"{reached}/{len(result.functions)}" if known else "-",
            f"{number(result.executed)}/{number(result.executable)}" if known else "-",
            _coverage(result.coverage),
        )
    notes = [
        "Coverage: lines run / lines of all function bodies of the file. "
        "Files that no recorded request ran are not listed."
    ]
    notes += [f"{result.path}: {result.problem}." for result in results if result.problem]
    write(stream, [rows, *footing(evidence, selection, notes)])


def _coverage(fraction: float | None) -> Text:
    style = (
        "dim" if fraction is None else "green" if fraction >= 0.8 else "yellow" if fraction >= 0.5 else "red"
    )
    return Text(percent(fraction), style=style)


def _failures(failed: int) -> Text:
    return Text(number(failed), style="red" if failed else "")
