"""Coverage of endpoints, files, functions or releases as a table for a terminal, and what it stands on.

Law: columns of branches stand in a table only when some request was recorded with branches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from requestcov.analysis.coverage_results import (
    EndpointCoverage,
    FileCoverage,
    FunctionUnion,
    ReleaseCoverage,
    Union,
)
from requestcov.analysis.evidence import Evidence, Selection
from requestcov.reports.terminal import Name, counted, number, percent, write
from requestcov.reports.text.footing import footing, table

REACHED = "Coverage: lines run / lines of the functions that the {} reached."
FILE_LINES = (
    "Coverage: lines run / lines of all function bodies of the file. "
    "Files that no recorded request ran are not listed."
)
FUNCTION_LINES = "Coverage: lines run / lines of the function's body."
UNREACHED = "No recorded request reached {} of these files: --format json lists all."
BRANCHES = (
    "Branches: ways on from lines that have more than one, taken / there are; "
    "only of files that were recorded with branches."
)


class Measured(Protocol):
    """What every row has."""

    @property
    def executed(self) -> int: ...
    @property
    def executable(self) -> int: ...
    @property
    def coverage(self) -> float | None: ...
    @property
    def taken(self) -> int | None: ...
    @property
    def branches(self) -> int | None: ...
    @property
    def branch_coverage(self) -> float | None: ...


def write_endpoints(
    results: Sequence[EndpointCoverage],
    together: Union,
    evidence: Evidence,
    selection: Selection,
    stream: TextIO,
) -> None:
    """A row an endpoint, and one for all when there are several.

    Raises:
        OSError: the stream cannot be written.
    """
    rows, branched = _table("endpoint", ("seen", "recorded", "failed"), results)
    for result in results:
        counts = (number(result.seen), number(result.recorded), _failures(result.failed))
        rows.add_row(Name(result.endpoint), *counts, *_measures(result, branched))
    if len(results) > 1:
        seen = [result.seen for result in results if result.seen is not None]
        counts = (
            number(sum(seen) if seen else None),
            number(together.recorded),
            _failures(together.failed),
        )
        rows.add_row("all", *counts, *_measures(together, branched), style="bold")
    write(stream, [rows, *_footing(evidence, selection, REACHED.format("endpoint"), branched, together)])


def write_releases(
    results: Sequence[ReleaseCoverage],
    together: Union,
    evidence: Evidence,
    selection: Selection,
    stream: TextIO,
) -> None:
    """A row a release, and one for all when there are several.

    Raises:
        OSError: the stream cannot be written.
    """
    rows, branched = _table("release", ("endpoints", "recorded", "failed", "functions"), results)
    for result in results:
        rows.add_row(
            Name(result.release or "(no name)"),
            number(len(result.endpoints)),
            number(result.recorded),
            _failures(result.failed),
            number(len(result.functions)),
            *_measures(result, branched),
        )
    if len(results) > 1:
        rows.add_row(
            "all",
            number(len(evidence.counts)),
            number(together.recorded),
            _failures(together.failed),
            number(len(together.functions)),
            *_measures(together, branched),
            style="bold",
        )
    note = REACHED.format("release") + " Each release is judged by the texts that it ran, all by the newest."
    write(stream, [rows, *_footing(evidence, selection, note, branched, together)])


def write_files(
    results: Sequence[FileCoverage], evidence: Evidence, selection: Selection, stream: TextIO
) -> None:
    """A row a file.

    Raises:
        OSError: the stream cannot be written.
    """
    rows, branched = _table("file", ("endpoints", "functions"), results)
    for result in results:
        reached = sum(1 for function in result.functions if function.executed)
        known = result.problem is None
        rows.add_row(
            Name(result.path),
            number(len(result.endpoints)),
            f"{reached}/{len(result.functions)}" if known else "-",
            *_measures(result, branched, known),
        )
    parts = [rows, *_footing(evidence, selection, FILE_LINES, branched, None, _problems(results))]
    write(stream, parts)


def write_functions(
    results: Sequence[FunctionUnion],
    together: Union,
    evidence: Evidence,
    selection: Selection,
    stream: TextIO,
) -> None:
    """A row a function that was reached, and how many were not.

    Raises:
        OSError: the stream cannot be written.
    """
    reached = [result for result in results if result.executed]
    rows, branched = _table("function", ("endpoints",), reached)
    for result in reached:
        name = Name(f"{result.path}:{result.line} {result.name}")
        rows.add_row(name, number(len(result.endpoints)), *_measures(result, branched))
    others = len(results) - len(reached)
    more = [UNREACHED.format(counted(others, "further function"))] if others else []
    write(stream, [rows, *_footing(evidence, selection, FUNCTION_LINES, branched, together, more)])


def _table(first: str, counts: Sequence[str], results: Sequence[Measured]) -> tuple[Table, bool]:
    """An empty table, and whether it has columns for branches."""
    branched = any(result.branches is not None for result in results)
    ways = ("branches", "taken") if branched else ()
    return table(first, *counts, "lines run", "coverage", *ways), branched


def _measures(result: Measured, branched: bool, known: bool = True) -> list[RenderableType]:
    shown: list[RenderableType] = [
        _of(result.executed, result.executable, known),
        _coverage(result.coverage),
    ]
    if branched:
        shown += [_of(result.taken, result.branches, known), _coverage(result.branch_coverage)]
    return shown


def _of(part: int | None, whole: int | None, known: bool) -> str:
    return f"{number(part)}/{number(whole)}" if known and whole else "-"


def _footing(
    evidence: Evidence,
    selection: Selection,
    note: str,
    branched: bool,
    together: Union | None,
    more: Iterable[str] = (),
) -> Iterable[RenderableType]:
    notes = [note, *([BRANCHES] if branched else []), *more]
    return footing(evidence, selection, notes, together.unread if together else 0)


def _problems(results: Sequence[FileCoverage]) -> list[str]:
    return [f"{result.path}: {result.problem}." for result in results if result.problem]


def _coverage(fraction: float | None) -> Text:
    style = (
        "dim" if fraction is None else "green" if fraction >= 0.8 else "yellow" if fraction >= 0.5 else "red"
    )
    return Text(percent(fraction), style=style)


def _failures(failed: int) -> Text:
    return Text(number(failed), style="red" if failed else "")
